import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readSecretKey } from '../../src/base/secret-key.ts'
import { race } from '../support/race.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bramley-key-'))
  file = join(folder, 'data', 'secret.key')
})
afterEach(() => rmSync(folder, { recursive: true }))

it('makes 32 random bytes in a file that only its owner may read, in a folder only they may enter', () => {
  const { key, created } = readSecretKey(file)
  expect([key.length, created]).toEqual([32, true])
  expect(readFileSync(file, 'utf8')).toBe(`${key.toString('base64')}\n`)
  expect([file, join(folder, 'data')].map((path) => statSync(path).mode & 0o777)).toEqual([0o600, 0o700])
  expect(readSecretKey(join(folder, 'other')).key).not.toEqual(key)
})

it('reads the same key at each later start and writes nothing', () => {
  const { key } = readSecretKey(file)
  expect(readSecretKey(file)).toEqual({ key, created: false })
  expect(readdirSync(join(folder, 'data'))).toEqual(['secret.key'])
})

it('reads a key that an operator made, with or without a line break', () => {
  const key = randomBytes(32)
  const given = join(folder, 'mounted.key')
  for (const text of [key.toString('base64'), `${key.toString('base64')}\r\n`]) {
    writeFileSync(given, text)
    expect(readSecretKey(given)).toEqual({ key, created: false })
  }
})

it.each([
  ['nothing', ''], ['half of a key', randomBytes(16).toString('base64')], ['a longer key', randomBytes(48).toString('base64')],
  ['hexadecimal digits', randomBytes(32).toString('hex')], ['a sentence', 'put the key here'],
])('refuses a file that holds %s, in one line that does not quote it, and leaves it as it is', (_what, text) => {
  const wrong = join(folder, 'wrong.key')
  writeFileSync(wrong, text)
  expect(() => readSecretKey(wrong)).toThrow(new Error(`${wrong} does not hold a Bramley secret key (32 bytes in base64)`))
  expect(readFileSync(wrong, 'utf8')).toBe(text)
})

it('makes no key where there is something else already', () => {
  mkdirSync(file, { recursive: true })
  expect(() => readSecretKey(file)).toThrow('EISDIR')
  writeFileSync(join(folder, 'plain'), '')
  expect(() => readSecretKey(join(folder, 'plain', 'secret.key'))).toThrow(/EEXIST|ENOTDIR/)
})

it('agrees with other processes that start at the same moment', async () => {
  const expression = `((read) => ({ key: read.key.toString('base64'), created: read.created }))(m.readSecretKey(${JSON.stringify(file)}))`
  const read = await race<{ key: string; created: boolean }>(6, 'base/secret-key.js', expression)
  expect(new Set(read.map(({ key }) => key)).size).toBe(1)
  expect(read.filter(({ created }) => created)).toHaveLength(1)
  expect(readdirSync(join(folder, 'data'))).toEqual(['secret.key'])
  expect(existsSync(file)).toBe(true)
})
