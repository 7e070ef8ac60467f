import { Command } from 'commander'
import { ConfigError } from '../config.ts'
import { VERSION } from '../base/version.ts'
import { configCommand } from './config.ts'
import { migrateCommand } from './migrate.ts'
import { plistCommand } from './plist.ts'
import { serveCommand } from './serve.ts'
import { setupCommand } from './setup.ts'
import { simulateCommand } from './simulate.ts'

const program = new Command('bramley')
  .description('Manages Apple devices from your own server.')
  .version(VERSION)
  .showHelpAfterError('(bramley --help shows what there is)')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))

for (const command of [serveCommand(), setupCommand(), simulateCommand(), plistCommand(), migrateCommand(), configCommand()]) program.addCommand(command.copyInheritedSettings(program))

try {
  await program.parseAsync()
} catch (error) {
  // Expected trouble is one clear line (or one for each complaint); the stack helps only us.
  const expected = error instanceof Error
  process.stderr.write(`bramley: ${expected ? error.message : String(error)}\n`)
  process.exit(error instanceof ConfigError ? 2 : 1)
}
