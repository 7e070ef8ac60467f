import { Command } from 'commander'
import { inWords } from '../base/in-words.ts'
import { ConfigError } from '../config.ts'
import { VERSION } from '../base/version.ts'
import { configCommand } from './config.ts'
import { healthcheckCommand } from './healthcheck.ts'
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

for (const command of [serveCommand(), setupCommand(), simulateCommand(), plistCommand(), migrateCommand(), configCommand(), healthcheckCommand()]) {
  program.addCommand(withSettingsOf(program, command))
}

try {
  await program.parseAsync()
} catch (error) {
  // Expected trouble is one clear line (or one for each complaint); the stack helps only us.
  process.stderr.write(`bramley: ${inWords(error)}\n`)
  process.exit(error instanceof ConfigError ? 2 : 1)
}

/** Commander gives its settings to commands made by it only, not to those that are added. */
function withSettingsOf(parent: Command, command: Command): Command {
  command.copyInheritedSettings(parent)
  for (const inner of command.commands) withSettingsOf(command, inner)
  return command
}
