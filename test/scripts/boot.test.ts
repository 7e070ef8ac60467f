import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { withLock } from '../../scripts/boot-lock.mjs'
import { buildStamp, installStamp, isInstalled, isNodeNewEnough } from '../../scripts/boot-stamp.mjs'
import { boot } from '../../scripts/boot.mjs'

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
let root: string
let said: string[]

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bramley-boot-'))
  said = []
})

afterEach(() => rmSync(root, { recursive: true, force: true }))

it('takes Node 20.19 and newer', () => {
  expect(['20.19.0', '20.20.2', '22.0.0', '24.1.0'].map(isNodeNewEnough)).toEqual([true, true, true, true])
  expect(['20.18.3', '18.20.0', '9.9.9'].map(isNodeNewEnough)).toEqual([false, false, false])
})

it('installs again for another lock file and for another platform', () => {
  expect(installStamp('{}', 'linux-x64')).toBe(installStamp('{}', 'linux-x64'))
  expect(
    new Set([installStamp('{}', 'linux-x64'), installStamp('{ }', 'linux-x64'), installStamp('{}', 'darwin-arm64')])
      .size,
  ).toBe(3)
})

describe('an installation made by hand', () => {
  const lock = { packages: { '': {}, a: { version: '1.0.0' }, b: { version: '2.0.0', optional: true } } }

  it('counts when every package is there, optional ones of other platforms aside', () => {
    expect(isInstalled(lock, { packages: { a: { version: '1.0.0' } } })).toBe(true)
    expect(isInstalled(lock, { packages: { a: { version: '1.0.0' }, b: { version: '2.0.0' } } })).toBe(true)
  })

  it('does not count when a package is missing or of another version', () => {
    expect(isInstalled(lock, { packages: {} })).toBe(false)
    expect(isInstalled(lock, { packages: { a: { version: '1.0.1' } } })).toBe(false)
    expect(isInstalled(lock, { packages: { a: { version: '1.0.0' }, b: { version: '2.1.0' } } })).toBe(false)
  })
})

it('builds again when a source changes, moves or appears', () => {
  standIn()
  const stamps = [buildStamp(root)]
  writeFileSync(join(root, 'src/a.ts'), 'export const a = 2\n')
  stamps.push(buildStamp(root))
  writeFileSync(join(root, 'src/page.html'), '')
  stamps.push(buildStamp(root))
  writeFileSync(join(root, 'tsconfig.json'), '{ }')
  stamps.push(buildStamp(root))
  expect(new Set(stamps).size).toBe(4)
  writeFileSync(join(root, 'README.md'), 'not a source')
  expect(buildStamp(root)).toBe(stamps.at(-1))
})

describe('the lock', () => {
  it('lets one work at a time', async () => {
    const file = join(root, 'lock')
    let inside = 0
    let most = 0
    const work = async (): Promise<void> => {
      most = Math.max(most, ++inside)
      await new Promise((done) => setImmediate(done))
      inside--
    }
    await Promise.all([withLock(file, work), withLock(file, work), withLock(file, work)])
    expect(most).toBe(1)
    expect(readdirSync(root)).toEqual([])
  })

  it('is taken from a process that no longer exists', async () => {
    const file = join(root, 'lock')
    writeFileSync(file, '4194999') // above the largest process number of Linux and macOS
    expect(await withLock(file, () => 'worked')).toBe('worked')
  })

  it('is taken from a holder that has not touched it for long, though another process has its number now', async () => {
    const file = join(root, 'lock')
    writeFileSync(file, String(process.ppid))
    utimesSync(file, 0, 0)
    expect(await withLock(file, () => 'worked')).toBe('worked')
  })

  it('is given back when the work fails', async () => {
    const file = join(root, 'lock')
    await expect(withLock(file, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(existsSync(file)).toBe(false)
  })
})

describe('booting a clone', () => {
  it('builds once, and says nothing more than that when nothing changed', async () => {
    standIn()
    await boot({ root, say: (line) => said.push(line) })
    expect(said).toEqual([
      expect.stringMatching(/^✔ Node \d+\.\d+ \(needs 20\.19 or newer\)$/),
      '✔ Found 0 packages installed',
      expect.stringMatching(/^✔ Built server {2}\d+ s$/),
    ])
    expect(readdirSync(join(root, 'dist')).toSorted()).toEqual(['.boot', 'a.js', 'data'])
    expect(readFileSync(join(root, 'dist/data/rows.json'), 'utf8')).toBe('[1]')
    said = []
    await boot({ root, say: (line) => said.push(line) })
    await boot({ root, say: (line) => said.push(line), quiet: true })
    expect(said).toEqual([expect.stringMatching(/^✔ Node \d+\.\d+, packages and build are up to date$/)])
  })

  it('removes from dist what is no longer in src', async () => {
    standIn()
    await boot({ root, say: () => undefined })
    rmSync(join(root, 'src/a.ts'))
    writeFileSync(join(root, 'src/b.ts'), 'export const b = 1\n')
    await boot({ root, say: () => undefined })
    expect(readdirSync(join(root, 'dist')).toSorted()).toEqual(['.boot', 'b.js', 'data'])
  })

  it('keeps the last good build and shows the compiler when the sources do not compile', async () => {
    standIn()
    await boot({ root, say: () => undefined })
    writeFileSync(join(root, 'src/a.ts'), 'export const a: number = "text"\n')
    await expect(boot({ root, say: () => undefined })).rejects.toThrow(
      /src\/a\.ts\(1,14\): error TS2322[\s\S]*✘ The build failed/,
    )
    expect(readFileSync(join(root, 'dist/a.js'), 'utf8')).toContain('a = 1')
    expect(readdirSync(root).filter((name) => name.startsWith('.'))).toEqual([])
  })
})

/** A clone of nearly nothing: one source, one asset, no packages but the compiler. */
function standIn(): void {
  mkdirSync(join(root, 'src/data'), { recursive: true })
  mkdirSync(join(root, 'node_modules'))
  symlinkSync(join(REPOSITORY, 'node_modules/typescript'), join(root, 'node_modules/typescript'))
  writeFileSync(join(root, 'src/a.ts'), 'export const a = 1\n')
  writeFileSync(join(root, 'src/data/rows.json'), '[1]')
  writeFileSync(join(root, 'package-lock.json'), '{"packages":{"":{}}}')
  writeFileSync(join(root, 'node_modules/.package-lock.json'), '{"packages":{}}')
  writeFileSync(
    join(root, 'tsconfig.build.json'),
    '{"compilerOptions":{"rootDir":"src","types":[],"module":"nodenext","target":"es2023"},"include":["src"]}',
  )
}
