import { DrizzleQueryError } from 'drizzle-orm'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { asProblem, isUnavailable, openDb, sqlState, type Db } from '../../src/base/db.ts'
import { Problem } from '../../src/base/problem.ts'
import { until } from '../support/bramley.ts'
import { freshDatabase, ownCluster, type FreshDatabase, type OwnCluster } from '../support/pg.ts'

const logged: string[] = []
const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) })
const one = { name: 'one', text: 'select 1 as one' }
const ask = (db: Db) => db.read.rows(one, [])
const errorOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => undefined, (error: unknown) => error)

let database: FreshDatabase
let db: Db
beforeAll(async () => {
  database = await freshDatabase()
  db = openDb(database.url, log, 2)
})
afterAll(async () => {
  await db.close()
  await database.drop()
})

describe('the database is away', () => {
  it('when nobody listens there', async () => {
    const nowhere = openDb('postgres://nobody@127.0.0.1:1/nothing', log)
    const error = await errorOf(ask(nowhere))
    expect([isUnavailable(error), sqlState(error)]).toEqual([true, 'ECONNREFUSED'])
    await nowhere.close()
  })

  it('when its socket does not exist', async () => {
    const nowhere = openDb('postgres://x@localhost/x?host=/nowhere', log)
    const error = await errorOf(ask(nowhere))
    expect([isUnavailable(error), sqlState(error)]).toEqual([true, 'ENOENT'])
    await nowhere.close()
  })

  it('when it ends the connection', async () => {
    const client = await db.pool.connect()
    client.on('error', () => undefined)
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    const [error] = await Promise.all([errorOf(client.query('select pg_sleep(60)')), database.query('select pg_terminate_backend($1)', [rows[0]?.pid])])
    expect([isUnavailable(error), sqlState(error)]).toEqual([true, '57P01'])
    const later = await errorOf(client.query('select 1'))
    expect([isUnavailable(later), sqlState(later)]).toEqual([true, undefined])
    client.release(true)
  })

  it('when a statement takes too long, or a lock does', async () => {
    const client = await db.pool.connect()
    await client.query('set statement_timeout = 20')
    expect(await errorOf(client.query('select pg_sleep(60)'))).toSatisfy((error) => isUnavailable(error) && sqlState(error) === '57014')
    client.release(true)
    const [holder, waiter] = [await db.pool.connect(), await db.pool.connect()]
    await holder.query('begin; lock table settings')
    await waiter.query('set lock_timeout = 20')
    expect(await errorOf(waiter.query('select from settings'))).toSatisfy((error) => isUnavailable(error) && sqlState(error) === '55P03')
    for (const client_ of [holder, waiter]) client_.release(true)
  })

  it.each(['08006', '08P01', '53100', '53300', '57P02', '57P03', '58030', '25006', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENOTFOUND', 'EAI_AGAIN'])(
    'when the code is %s, also inside Drizzle’s error', (code) => {
      const error = Object.assign(new Error('x'), { code })
      expect([error, new DrizzleQueryError('select', [], error)].map(isUnavailable)).toEqual([true, true])
    })

  it.each(['Connection terminated unexpectedly', 'Connection terminated due to connection timeout', 'timeout exceeded when trying to connect',
    'timeout expired', 'Client has encountered a connection error and is not queryable'])('when the driver says "%s", also inside Drizzle’s error', (message) => {
    const error = new Error(message)
    expect([error, new DrizzleQueryError('select', [], error)].map(isUnavailable)).toEqual([true, true])
  })

  it('not when it is there and says no, nor when something else fails', async () => {
    const noTable = await errorOf(db.read.rows({ name: 'none', text: 'select from nothing' }, []))
    const noTableEither = await errorOf(db.read.orm.execute('select from nothing'))
    expect([sqlState(noTable), sqlState(noTableEither)]).toEqual(['42P01', '42P01'])
    const coded = ['23505', '22P02', '42501', '28P01', '3D000', '40001', 'ERR_INVALID_ARG_TYPE'].map((code) => Object.assign(new Error('x'), { code }))
    for (const error of [noTable, noTableEither, ...coded, new Error('x'), 'ECONNREFUSED', undefined, null]) expect(isUnavailable(error)).toBe(false)
  })

  it('not because of a value that somebody sent: Drizzle quotes it in its message', () => {
    expect(isUnavailable(new DrizzleQueryError('insert', ['Connection terminated ECONNREFUSED'], new Error('nothing of the kind')))).toBe(false)
  })
})

describe('an error as a problem', () => {
  it('is 503 with a time to come back when the database is away, and keeps its cause for us', () => {
    const cause = new DrizzleQueryError('select', [], new Error('Connection terminated unexpectedly'))
    expect(asProblem(cause)).toMatchObject({ code: 'database_unavailable', status: 503, options: { cause, retryAfterSeconds: 5 } })
  })

  it('stays what it is otherwise', () => {
    for (const error of [new Problem('not_found', undefined, { cause: Object.assign(new Error(), { code: '57P01' }) }), new Error('x'), 'text']) {
      expect(asProblem(error)).toBe(error)
    }
  })
})

it('reads row numbers as numbers and prepares a named statement once', async () => {
  const big = { name: 'big', text: 'select $1::bigint as big' }
  expect(await db.read.rows(big, [2 ** 40])).toEqual([{ big: 2 ** 40 }])
  const single = openDb(database.url, log, 1)
  for (let i = 0; i < 3; i++) await ask(single)
  const prepared = await single.read.rows({ name: 'prepared', text: 'select name, (generic_plans + custom_plans)::int as runs from pg_prepared_statements where name = $1' }, ['one'])
  expect(prepared).toEqual([{ name: 'one', runs: 3 }])
  await single.close()
})

describe('a pool whose server restarts', () => {
  let cluster: OwnCluster
  beforeAll(async () => {
    cluster = await ownCluster()
  })
  afterAll(() => cluster.destroy())

  it('says "unavailable" meanwhile and recovers by itself, the connections it had open included', async () => {
    const pool = openDb(cluster.url(), log, 4)
    await Promise.all([1, 2, 3, 4].map(() => ask(pool)))
    expect(pool.pool.totalCount).toBe(4)
    await cluster.stopImmediate()
    for (const error of await Promise.all([1, 2, 3, 4, 5].map(() => errorOf(ask(pool))))) expect(error).toSatisfy(isUnavailable)
    await cluster.start()
    await until(() => ask(pool).then(() => true, () => false), 'the pool to recover')
    expect(await Promise.all([1, 2, 3, 4, 5, 6].map(() => ask(pool)))).toEqual(Array.from({ length: 6 }, () => [{ one: 1 }]))
    expect([pool.pool.totalCount <= 4, pool.pool.waitingCount]).toEqual([true, 0])
    expect(logged.some((line) => line.includes('lost an idle database connection'))).toBe(true)
    await pool.close()
  })
})
