import { readFileSync } from 'node:fs'

/** The version of this program, from package.json. */
export const VERSION: string = readVersion()

function readVersion(): string {
  const file = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version?: unknown }
  if (typeof file.version !== 'string') throw new Error('package.json has no version')
  return file.version
}
