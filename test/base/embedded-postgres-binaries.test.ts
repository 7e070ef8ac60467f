import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { canReach, openBinaries, runnable } from '../../src/base/embedded-postgres-binaries.ts'
import { namedUser, serverUser } from '../../src/base/embedded-postgres-user.ts'

const STRANGER = { uid: 65_533, gid: 65_533 }
let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bramley-binaries-'))
  chmodSync(root, 0o755)
})

afterEach(() => rmSync(root, { recursive: true, force: true }))

it('says in one line what to set on a machine for which npm has no programs', () => {
  const open = () => openBinaries({ ownCopy: root, platform: 'plan9-mips' })
  expect(open).toThrow(
    /^There is no PostgreSQL that runs here \(plan9-mips\): set BRAMLEY_DATABASE_URL to a Postg[^\n]+$/,
  )
})

it('says the same when the programs cannot run, as those for glibc on musl', () => {
  writeFileSync(join(root, 'postgres'), '#!/bin/sh\necho "not found" >&2\nexit 127\n', { mode: 0o755 })
  expect(() => openBinaries({ folder: root, ownCopy: root })).toThrow(
    /^There is no PostgreSQL that runs here \(.*\): set BRAMLEY_DATABASE_URL/,
  )
})

it('reads the major version of the programs', () => {
  writeFileSync(join(root, 'postgres'), '#!/bin/sh\necho "postgres (PostgreSQL) 17beta2"\n', { mode: 0o755 })
  expect(openBinaries({ folder: root, ownCopy: root })).toEqual({ folder: root, major: 17 })
})

it('makes the links that the blocked install script of the package would have made', () => {
  const native = fakePackage(join(root, 'open'))
  expect(runnable({ version: '1.0.0', native }, undefined, join(root, 'copies'))).toBe(native)
  expect(readlinkSync(join(native, 'lib/libpq.so.5'))).toBe('libpq.so.5.18')
  expect(existsSync(join(root, 'copies'))).toBe(false)
})

it('uses a complete and readable copy where the user of the server cannot get to the package', () => {
  const native = fakePackage(join(root, 'closed'))
  chmodSync(join(root, 'closed'), 0o700)
  const before = process.umask(0o077)
  const copy = runnable({ version: '1.0.0', native }, STRANGER, join(root, 'copies'))
  process.umask(before)
  expect(copy.startsWith(join(root, 'copies'))).toBe(true)
  expect(canReach(join(copy, 'bin/postgres'), STRANGER)).toBe(true)
  expect(readFileSync(join(copy, 'lib/libpq.so.5'), 'utf8')).toBe('library')
  expect(statSync(join(copy, 'lib/libpq.so.5.18')).mode & 0o004).toBe(0o004)
  expect(runnable({ version: '1.0.0', native }, STRANGER, join(root, 'copies'))).toBe(copy)
})

it('knows that one closed folder on the way is enough to be out of reach', () => {
  const native = fakePackage(join(root, 'package'))
  const postgres = join(native, 'bin/postgres')
  expect(canReach(postgres, STRANGER)).toBe(true)
  chmodSync(join(root, 'package'), 0o750)
  expect(canReach(postgres, STRANGER)).toBe(false)
  expect(canReach(postgres, { uid: STRANGER.uid, gid: statSync(postgres).gid })).toBe(true)
  chmodSync(join(root, 'package'), 0o755)
  chmodSync(postgres, 0o600)
  expect(canReach(postgres, STRANGER)).toBe(false)
})

it('runs the server as ourselves unless we are root', () => {
  const data = join(root, 'data')
  expect(serverUser(data, 1000)).toBeUndefined()
  expect(serverUser(data, 0)?.uid).toBeGreaterThan(0)
  mkdirSync(data)
  const owner = statSync(data).uid
  expect(() => serverUser(data, owner + 1)).toThrow(
    `${data} belongs to user ${owner}: start Bramley as root or as that user`,
  )
})

it('finds a user by name, and takes root for nobody', () => {
  const passwd = 'root:x:0:0::/root:/bin/sh\npostgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash\n'
  expect(namedUser('postgres', passwd)).toEqual({ uid: 101, gid: 104 })
  expect(namedUser('root', passwd)).toBeUndefined()
  expect(namedUser('nobody', passwd)).toBeUndefined()
})

/** A package as npm unpacks it: a program, a library, and the list of links that are still to be made. */
function fakePackage(folder: string): string {
  const native = join(folder, 'native')
  mkdirSync(join(native, 'bin'), { recursive: true })
  mkdirSync(join(native, 'lib'))
  writeFileSync(join(native, 'bin/postgres'), '', { mode: 0o755 })
  writeFileSync(join(native, 'lib/libpq.so.5.18'), 'library', { mode: 0o600 })
  writeFileSync(
    join(native, 'pg-symlinks.json'),
    '[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]',
  )
  return native
}
