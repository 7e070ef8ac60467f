import { Command } from 'commander'
import { environment, readConfig, SETTINGS } from '../config.ts'

/** `bramley config check|reference`. */
export function configCommand(): Command {
  const command = new Command('config').description('Check the settings, or print all there are.')
  command.command('check').description('Say what is wrong with the settings; nothing when they are right.').action(() => {
    readConfig(environment())
    process.stdout.write('the settings are right\n')
  })
  command.command('reference').description('Print a settings file with every setting, commented out.').action(() => {
    const blocks = SETTINGS.filter((setting) => setting.name !== 'BRAMLEY_CONFIG').map((setting) =>
      `# ${setting.meaning}\n# ${setting.name.replace('BRAMLEY_', '').toLowerCase()}: ${JSON.stringify(setting.fallback)}\n`)
    process.stdout.write(blocks.join('\n'))
  })
  return command
}
