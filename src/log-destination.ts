import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import type { Config } from './base/config.ts'
import { createLog, WHOLE, type Log } from './base/log.ts'

/** Whether a person watches: then the summary is for the terminal and the JSON lines go to a file. */
export function isForPeople(config: Config): boolean {
  return config.logFormat === 'pretty' || (config.logFormat === 'auto' && process.stdout.isTTY === true)
}

/** The file that JSON lines go to while a person watches the terminal. */
export function logFileOf(config: Config): string {
  return join(config.dataFolder, 'logs', 'bramley.log')
}

/** JSON lines on stdout, or in `<data>/logs` when stdout is a terminal. */
export function openLog(config: Config): Log {
  if (!isForPeople(config)) return createLog(config.logLevel)
  mkdirSync(join(config.dataFolder, 'logs'), { recursive: true, mode: 0o700 })
  return createLog(config.logLevel, pino.destination({ dest: logFileOf(config), sync: false, mkdir: true, maxWrite: WHOLE }))
}
