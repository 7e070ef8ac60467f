import { Command } from 'commander'
import { readFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { join } from 'node:path'
import { SCOPES } from '../base/api.ts'
import type { Config } from '../base/config.ts'
import { createKey } from '../features/access/index.ts'
import { withLocalDeps } from './local.ts'

/** `bramley setup`: makes an API key on the machine of the server, without a token: whoever can read its files may. */
export function setupCommand(): Command {
  return new Command('setup')
    .description('Make an API key on this machine. It is shown once.')
    .option('--name <name>', 'what the key is for', 'setup')
    .option('--sample', 'let the server play six simulated phones')
    .action(async ({ name, sample }: { name: string; sample?: true }) => {
      const { key, config } = await withLocalDeps(async (deps) => ({
        key: await deps.work({ kind: 'system' }, (work) => createKey(work, { name, scopes: SCOPES })),
        config: deps.config,
      }))
      process.stderr.write('This key can do everything. It is shown once; keep it like a password.\n')
      process.stdout.write(`${key.token}\n`)
      if (sample) process.stderr.write(`${await addSample(config, key.token)}\n`)
    })
}

/** Asks the running server for the sample fleet; what came of it, in one line. The key is there either way. */
async function addSample(config: Config, token: string): Promise<string> {
  try {
    const { status, body } = await post(config, token)
    if (status === 202) return 'Six simulated phones are enrolling.'
    const { detail, title } = JSON.parse(body) as { detail?: string; title?: string }
    return `No simulated phones: ${detail ?? title ?? status}.`
  } catch (error) {
    return `No simulated phones: the server does not answer at ${config.publicUrl.origin} (${error instanceof Error ? error.message : String(error)}).`
  }
}

function post(config: Config, token: string): Promise<{ status: number; body: string }> {
  const secure = config.publicUrl.protocol === 'https:'
  const url = new URL('/api/v1/simulator/devices', config.publicUrl)
  const options = { method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } }
  return new Promise((resolve, reject) => {
    const trust = secure && config.tls === 'self' ? { ca: readFileSync(join(config.dataFolder, 'tls', 'ca.pem')) } : {}
    const request = secure ? httpsRequest(url, { ...options, ...trust }) : httpRequest(url, options)
    request.on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }))
    })
    request.on('error', reject)
    request.end('{"sample":true}')
  })
}
