import { randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Reads the master key (32 bytes, base64 in a text file), creating it with mode 0600 when the file does not exist.
 * Returns the key and whether it was created. Throws an Error with one clear line when the file holds something else.
 */
export function readSecretKey(file: string): { key: Buffer; created: boolean } {
  const created = createOnce(file)
  const key = Buffer.from(readFileSync(file, 'utf8').trim(), 'base64')
  if (key.length !== 32) throw new Error(`${file} does not hold a Bramley secret key (32 bytes in base64)`)
  return { key, created }
}

/** Written aside and linked into place: two processes starting at once agree on one key, and nobody reads half of it. */
function createOnce(file: string): boolean {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const aside = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`
  try {
    readFileSync(file)
    return false
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  writeFileSync(aside, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600, flush: true })
  try {
    linkSync(aside, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(aside, { force: true })
  }
}
