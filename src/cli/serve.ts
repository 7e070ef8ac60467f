import { Command } from 'commander'
import { environment, readConfig, settingsInForce, SETTINGS } from '../config.ts'
import { serve } from '../main.ts'

const PATIENCE_MS = 30_000

/** `bramley serve`: every setting is also a flag (`--public-url`). Ends in order on SIGINT and SIGTERM. */
export function serveCommand(): Command {
  const command = new Command('serve').description('Run the server.')
  for (const setting of SETTINGS) command.option(`${flagOf(setting.name)} <value>`, setting.meaning)
  return command.action(async (options: Record<string, string>) => {
    const flags = flagsOf(options)
    const config = readConfig(environment(), flags)
    // Before the start: a signal in the middle of it is for its end, not for leaving things half done.
    const stop = stopSignal()
    const running = await serve(config, {}, settingsInForce(environment(), flags))
    await stop
    // A second signal, or patience at its end, is final: whatever still runs is safe to kill.
    process.once('SIGINT', () => process.exit(130))
    setTimeout(() => process.exit(1), PATIENCE_MS).unref()
    await running.close()
    process.exit(0)
  })
}

function flagOf(name: string): string {
  return `--${name.replace('BRAMLEY_', '').toLowerCase().replaceAll('_', '-')}`
}

function flagsOf(options: Record<string, string>): Record<string, string> {
  const names = new Map(SETTINGS.map((setting) => [camelOf(flagOf(setting.name)), setting.name]))
  return Object.fromEntries(Object.entries(options).flatMap(([key, value]) => (names.has(key) ? [[names.get(key) ?? '', value]] : [])))
}

/** Commander's name of an option. */
function camelOf(flag: string): string {
  return flag.slice(2).replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve())
    process.once('SIGTERM', () => resolve())
  })
}
