import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { isUnavailable, openDb, sqlState, type Tx } from '../../src/base/db.ts'
import type { Deps } from '../../src/base/deps.ts'
import type { Event } from '../../src/base/events.ts'
import type { KeyId } from '../../src/base/ids.ts'
import { actorName, type Work } from '../../src/base/work.ts'
import { testDeps } from '../support/deps.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'

let database: FreshDatabase
let deps: Deps
const system = { kind: 'system' } as const

beforeAll(async () => {
  database = await freshDatabase()
  deps = testDeps(database.url)
})
afterAll(async () => {
  await deps.db.close()
  await database.drop()
})
beforeEach(async () => {
  await database.query('truncate settings, events')
})

const put = (tx: Tx, key: string) => tx.rows({ name: 'put', text: `insert into settings (key, value) values ($1, '1')` }, [key])
const kept = async () => (await database.query<{ key: string }>('select key from settings order by 1')).map(({ key }) => key)
const events = () => database.query('select type from events')
const created: Event = { type: 'api_key.created', api_key: 'key_1' as KeyId, scopes: [] }
/** Raises an SQLSTATE from inside the database. */
const raise = (tx: Tx, state: string) => tx.rows({ name: `raise_${state}`, text: `do $$ begin raise exception using errcode = '${state}'; end $$` }, [])

describe('a unit of work', () => {
  it('keeps everything, gives back the result, and its events with it', async () => {
    const result = await deps.work(system, async (work) => {
      await put(work.tx, 'a')
      await put(work.tx, 'b')
      await work.emit(created)
      return 'done'
    })
    expect([result, await kept(), await events()]).toEqual(['done', ['a', 'b'], [{ type: 'api_key.created' }]])
  })

  it('keeps nothing when it throws, no event either, and gives the error on as it was', async () => {
    const wrong = new Error('changed my mind')
    const failing = deps.work(system, async (work) => {
      await put(work.tx, 'a')
      await work.emit(created)
      throw wrong
    })
    await expect(failing).rejects.toBe(wrong)
    expect([await kept(), await events()]).toEqual([[], []])
  })

  it('keeps nothing when what follows from its event fails', async () => {
    const strict = testDeps(database.url, { db: deps.db, react: async () => Promise.reject(new Error('no reaction')) })
    const failing = strict.work(system, async (work) => {
      await put(work.tx, 'a')
      await work.emit(created)
    })
    await expect(failing).rejects.toThrow('no reaction')
    expect(await kept()).toEqual([])
  })

  it('keeps nothing when the commit itself is refused', async () => {
    await database.query('alter table settings add constraint late unique (value) deferrable initially deferred')
    const failing = deps.work(system, async (work) => [await put(work.tx, 'a'), await put(work.tx, 'b')])
    await expect(failing).rejects.toMatchObject({ code: '23505' })
    await database.query('alter table settings drop constraint late')
    expect(await kept()).toEqual([])
  })

  it('shows nothing to others before it is done', async () => {
    const seen = await deps.work(system, async (work) => {
      await put(work.tx, 'a')
      return kept()
    })
    expect([seen, await kept()]).toEqual([[], ['a']])
  })

  it('happens at one instant, which the database tells, and knows who acts', async () => {
    const actor = { kind: 'device', id: 'dev_1' } as const
    const [work, row] = await deps.work(actor, async (one): Promise<[Work, { now: Date } | undefined]> => {
      const [told] = await one.tx.rows<{ now: Date }>({ name: 'tell', text: 'select now() as now from (select pg_sleep(0.01)) s' }, [])
      return [one, told]
    })
    expect(work.now).toEqual(row?.now)
    expect(work.actor).toBe(actor)
    expect([actor, system, { kind: 'key', id: 'key_1' } as const].map(actorName)).toEqual(['dev_1', 'system', 'key_1'])
  })
})

describe('two units of work', () => {
  it('that lock in opposite order both finish', async () => {
    await database.query(`insert into settings (key, value) values ('a', '0'), ('b', '0')`)
    const add = (tx: Tx, key: string) => tx.rows({ name: 'add', text: `update settings set value = to_jsonb(value::int + 1) where key = $1` }, [key])
    let runs = 0
    let holding = 0
    let bothHold = () => {}
    const meeting = new Promise<void>((resolve) => (bothHold = resolve))
    const cross = (first: string, second: string) => deps.work(system, async ({ tx }) => {
      runs += 1
      await add(tx, first)
      holding += 1
      if (holding === 2) bothHold()
      await meeting
      await add(tx, second)
    })
    await Promise.all([cross('a', 'b'), cross('b', 'a')])
    expect(await database.query('select value::int from settings')).toEqual([{ value: 2 }, { value: 2 }])
    expect(runs).toBe(3)
  })

  it.each([['40P01', 3], ['40001', 3], ['23505', 1], ['22012', 1]])('run again after %s: %i times at most', async (state, times) => {
    let runs = 0
    const failing = deps.work(system, async ({ tx }) => {
      runs += 1
      await put(tx, `run ${runs}`)
      await raise(tx, state)
    })
    await expect(failing).rejects.toSatisfy((error) => sqlState(error) === state)
    expect([runs, await kept()]).toEqual([times, []])
  })
})

describe('when the connection is killed', () => {
  /** The only connection of its pool: whatever leaks is missed at once. */
  const single = () => {
    const db = openDb(database.url, deps.log, 1)
    return { db, work: testDeps(database.url, { db }).work }
  }
  const pidOf = async (tx: Tx) => (await tx.rows<{ pid: number }>({ name: 'pid', text: 'select pg_backend_pid() as pid' }, []))[0]?.pid
  const kill = (pid: number | undefined) => database.query('select pg_terminate_backend($1, 5000)', [pid])

  it.each([
    ['while a statement runs', async (tx: Tx, pid: number | undefined) => {
      await Promise.all([tx.rows({ name: 'wait', text: 'select pg_sleep(60)' }, []), kill(pid)])
    }],
    ['between two statements', async (tx: Tx, pid: number | undefined) => {
      await kill(pid)
      await put(tx, 'b')
    }],
    ['before the commit', async (_tx: Tx, pid: number | undefined) => void (await kill(pid))],
  ])('%s, it keeps nothing, says "unavailable", and the pool has a connection for the next', async (_when, die) => {
    const { db, work } = single()
    const failing = work(system, async ({ tx }) => {
      await put(tx, 'a')
      await die(tx, await pidOf(tx))
    })
    await expect(failing).rejects.toSatisfy(isUnavailable)
    expect(await kept()).toEqual([])
    await work(system, ({ tx }) => put(tx, 'c'))
    expect(await kept()).toEqual(['c'])
    expect([db.pool.totalCount, db.pool.idleCount, db.pool.waitingCount]).toEqual([1, 1, 0])
    await db.close()
  })

  it('takes no connection from the pool when the work itself throws', async () => {
    const { db, work } = single()
    for (let i = 0; i < 3; i++) await expect(work(system, async () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect([db.pool.totalCount, db.pool.idleCount]).toEqual([1, 1])
    await db.close()
  })
})
