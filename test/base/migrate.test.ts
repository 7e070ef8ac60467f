import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { migrate, readMigrations, schemaVersion } from '../../src/base/migrate.ts'
import { until } from '../support/bramley.ts'
import { emptyDatabase, type FreshDatabase } from '../support/pg.ts'

let database: FreshDatabase
let folder: string
beforeEach(async () => {
  database = await emptyDatabase()
  folder = mkdtempSync(join(tmpdir(), 'bramley-migrations-'))
})
afterEach(async () => {
  await database.drop()
  rmSync(folder, { recursive: true })
})

const file = (name: string, sql: string) => writeFileSync(join(folder, name), sql)
const tables = async () => (await database.query<{ name: string }>(
  `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1`)).map(({ name }) => name)
const version = () => schemaVersion((sql) => database.query(sql).then((rows) => ({ rows: rows as { version: number | null }[] })))

describe('migrating', () => {
  it('brings an empty database to this version, and then has nothing to do', async () => {
    const to = readMigrations().length
    expect(await version()).toBe(0)
    expect(await migrate(database.url)).toEqual({ from: 0, to })
    expect(await migrate(database.url)).toEqual({ from: to, to })
    expect(await version()).toBe(to)
    expect(await tables()).toContain('enrollments')
  })

  it('happens once when twelve processes start at the same moment', async () => {
    const to = readMigrations().length
    const all = await Promise.all(Array.from({ length: 12 }, () => migrate(database.url)))
    expect(all.map(({ from }) => from).toSorted((x, y) => x - y)).toEqual([0, ...Array.from({ length: 11 }, () => to)])
    expect(await database.query('select number from migrations order by 1')).toEqual(readMigrations().map(({ number }) => ({ number })))
  })

  it('goes on where it stood, file by file in order', async () => {
    file('0001_first.sql', 'create table first ()')
    expect(await migrate(database.url, folder)).toEqual({ from: 0, to: 1 })
    file('0002_second.sql', 'create table second (); insert into trace values (2)')
    file('0003_third.sql', 'create table third ()')
    await expect(migrate(database.url, folder)).rejects.toThrow('migrations/0002_second.sql failed: relation "trace" does not exist')
    file('0002_second.sql', 'create table second ()')
    expect(await migrate(database.url, folder)).toEqual({ from: 1, to: 3 })
    expect(await tables()).toEqual(['first', 'migrations', 'second', 'third'])
  })

  it('keeps what was whole before a file that fails, and nothing of that file', async () => {
    file('0001_first.sql', 'create table first ()')
    file('0002_second.sql', 'create table second (); select 1/0')
    await expect(migrate(database.url, folder)).rejects.toMatchObject({ message: 'migrations/0002_second.sql failed: division by zero', cause: { code: '22012' } })
    expect([await tables(), await version()]).toEqual([['first', 'migrations'], 1])
  })

  it('counts a file as applied in the transaction of the file itself', async () => {
    file('0001_first.sql', 'create table first ()')
    file('0002_second.sql', 'create table second (); alter table migrations add constraint "full" check (number < 2)')
    await expect(migrate(database.url, folder)).rejects.toMatchObject({ cause: { code: '23514' } })
    expect([await tables(), await version()]).toEqual([['first', 'migrations'], 1])
    expect(await database.query(`select from pg_constraint where conname = 'full'`)).toEqual([])
  })

  it('leaves nothing half when it is killed in the middle, and is whole after the next try', async () => {
    file('0001_first.sql', 'create table first ()')
    file('0002_second.sql', 'create table second (); select pg_advisory_xact_lock(4711); create table third ()')
    const holder = new pg.Client({ connectionString: database.url })
    await holder.connect()
    await holder.query('select pg_advisory_lock(4711)')
    const killed = expect(migrate(database.url, folder)).rejects.toMatchObject({ message: expect.stringMatching(/^migrations\/0002_second\.sql failed: terminating/), cause: { code: '57P01' } })
    const running = `application_name = 'bramley migrate' and datname = current_database() and wait_event = 'advisory'`
    await until(async () => (await database.query(`select from pg_stat_activity where ${running}`)).length === 1, 'the second file')
    await database.query(`select pg_terminate_backend(pid) from pg_stat_activity where ${running}`)
    await killed
    expect([await tables(), await version()]).toEqual([['first', 'migrations'], 1])
    await holder.end()
    expect(await migrate(database.url, folder)).toEqual({ from: 1, to: 2 })
    expect(await tables()).toEqual(['first', 'migrations', 'second', 'third'])
  })
})

describe('migrating is refused', () => {
  beforeEach(async () => {
    file('0001_first.sql', 'create table first ()')
    file('0002_second.sql', 'create table second ()')
    await migrate(database.url, folder)
  })

  it('when the database is newer than this program', async () => {
    rmSync(join(folder, '0002_second.sql'))
    await expect(migrate(database.url, folder)).rejects.toThrow('the database has schema version 2; this program knows 1: start a newer Bramley')
    expect(await tables()).toEqual(['first', 'migrations', 'second'])
  })

  it('when an applied file was changed since, before anything else is applied', async () => {
    file('0001_first.sql', 'create table first (id int)')
    file('0003_third.sql', 'create table third ()')
    await expect(migrate(database.url, folder)).rejects.toThrow('migrations/0001_first.sql was changed after it had been applied')
    expect(await version()).toBe(2)
  })

  it.each([['0004_fourth.sql', 'missing'], ['0002_again.sql', 'doubled']])('when with %s a number is %s', async (name) => {
    file(name, 'select 1')
    await expect(migrate(database.url, folder)).rejects.toThrow('is out of order')
    expect(await version()).toBe(2)
  })
})

describe('the schema version', () => {
  it('is 0 of an empty database, which stays empty', async () => {
    expect([await version(), await tables()]).toEqual([0, []])
  })

  it('is not 0 because the question failed', async () => {
    const failing = schemaVersion(async () => Promise.reject(Object.assign(new Error('away'), { code: '57P03' })))
    await expect(failing).rejects.toThrow('away')
  })
})

it('reads the migrations of this program in order, with their checksums', () => {
  const all = readMigrations()
  expect(all.map(({ number }) => number)).toEqual(all.map((_, index) => index + 1))
  for (const one of all) expect(one.sha256).toMatch(/^[0-9a-f]{64}$/)
})
