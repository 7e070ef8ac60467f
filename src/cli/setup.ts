import { Command } from 'commander'
import { SCOPES } from '../base/api.ts'
import { createKey } from '../features/access/index.ts'
import { withLocalDeps } from './local.ts'

/** `bramley setup`: makes an API key on the machine of the server, without a token: whoever can read its files may. */
export function setupCommand(): Command {
  return new Command('setup')
    .description('Make an API key on this machine. It is shown once.')
    .option('--name <name>', 'what the key is for', 'setup')
    .action(async ({ name }: { name: string }) => {
      const key = await withLocalDeps((deps) => deps.work({ kind: 'system' }, (work) => createKey(work, { name, scopes: SCOPES })))
      process.stderr.write('This key can do everything. It is shown once; keep it like a password.\n')
      process.stdout.write(`${key.token}\n`)
    })
}
