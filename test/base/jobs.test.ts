import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Deps } from '../../src/base/deps.ts'
import { leaveErrand, runErrands, type ErrandRunner } from '../../src/base/jobs.ts'
import { testDeps } from '../support/deps.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'

let database: FreshDatabase
/** Two processes on one database. */
let a: Deps
let b: Deps
const logged: string[] = []

beforeAll(async () => {
  database = await freshDatabase()
  a = testDeps(database.url, { log: pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) }) })
  b = testDeps(database.url)
})
afterAll(async () => {
  await a.db.close()
  await b.db.close()
  await database.drop()
})
beforeEach(async () => {
  await database.query('truncate jobs')
  logged.length = 0
})

const system = { kind: 'system' } as const
const leave = (key: string, payload: Record<string, unknown> = {}, delay = 0) => a.work(system, (work) => leaveErrand(work.tx, 'learn', key, payload, delay))
const run = (deps: Deps, runner: ErrandRunner) => runErrands(deps.db, deps.log, { learn: runner })
const rows = () => database.query(`select key, attempts, ticket is not null as held, last_error,
  round(extract(epoch from due_at - now()))::int as due_in from jobs order by key`)
const makeDue = () => database.query('update jobs set due_at = now()')
const nothing: ErrandRunner = async () => undefined
const failing: ErrandRunner = async () => Promise.reject(new Error('Apple is away'))

/** A runner that holds its errand until it is told how to end. */
function held() {
  let started = () => {}
  let end = (_error?: Error) => {}
  const begun = new Promise<void>((resolve) => (started = resolve))
  const ended = new Promise<void>((resolve, reject) => (end = (error) => (error ? reject(error) : resolve())))
  const runner: ErrandRunner = async () => {
    started()
    await ended
  }
  return { runner, begun, end: (error?: Error) => end(error) }
}

describe('errands of one kind', () => {
  it('are run together when there is a way to, and one by one when that fails: the odd one alone stays', async () => {
    for (const key of ['good', 'odd', 'fine']) await leave(key, { key })
    const seen: unknown[] = []
    const one: ErrandRunner = async ({ payload }) => {
      if (payload['key'] === 'odd') throw new Error('odd')
      seen.push(payload['key'])
    }
    const together = (errands: { payload: Record<string, unknown> }[]) => Promise.all(errands.map(one as never)).then(() => undefined)
    await runErrands(a.db, a.log, { learn: one }, { learn: async (errands) => together(errands.toReversed()) })
    expect((await rows()).map((row) => row['key'])).toEqual(['odd'])
    await makeDue()
    await leave('later', { key: 'later' })
    const at = seen.length
    expect(await runErrands(a.db, a.log, { learn: failing }, { learn: async (errands) => void seen.push(errands.length) })).toBe(2)
    expect([seen.slice(at), await rows()]).toEqual([[2], []])
  })
})

describe('an errand', () => {
  it('is run once, with what it was left with, and is gone then', async () => {
    await leave('one', { command: 'cmd_1' })
    const seen: unknown[] = []
    expect(await run(b, async (errand) => void seen.push([errand.kind, errand.payload, errand.attempts]))).toBe(1)
    expect([seen, await rows(), await run(a, nothing)]).toEqual([[['learn', { command: 'cmd_1' }, 1]], [], 0])
  })

  it('is claimed by one of two processes that look at the same moment', async () => {
    const keys = Array.from({ length: 40 }, (_, i) => `key ${String(i).padStart(2, '0')}`)
    await a.work(system, async ({ tx }) => {
      for (const key of keys) await leaveErrand(tx, 'learn', key, { key })
    })
    const seen: unknown[] = []
    const runner: ErrandRunner = async ({ payload }) => void seen.push(payload['key'])
    const claimed = await Promise.all([run(a, runner), run(b, runner), run(a, runner), run(b, runner)])
    expect([seen.map(String).toSorted((a, b) => a.localeCompare(b)), claimed.reduce((sum, n) => sum + n)]).toEqual([keys, keys.length])
  })

  it('is never left by work that was rolled back', async () => {
    await expect(a.work(system, async (work) => {
      await leaveErrand(work.tx, 'learn', 'one', {})
      throw new Error('no')
    })).rejects.toThrow('no')
    expect(await rows()).toEqual([])
  })

  it('left for later is not run before', async () => {
    await leave('one', {}, 3_600)
    expect(await run(a, nothing)).toBe(0)
    await makeDue()
    expect(await run(a, nothing)).toBe(1)
  })

  it('left again before it runs is one errand, with the later words and the earlier time', async () => {
    await leave('one', { n: 1 }, 100)
    await leave('one', { n: 2 }, 3_600)
    expect(await rows()).toMatchObject([{ key: 'one', due_in: 100 }])
    await leave('one', { n: 3 })
    const seen: unknown[] = []
    await run(a, async ({ payload }) => void seen.push(payload))
    expect(seen).toEqual([{ n: 3 }])
  })

  it('left again while it runs is run once more', async () => {
    await leave('one', { n: 1 })
    const { runner, begun, end } = held()
    const running = run(a, runner)
    await begun
    await leave('one', { n: 2 })
    const seen: unknown[] = []
    expect(await run(b, async ({ payload }) => void seen.push(payload))).toBe(1)
    end()
    await running
    expect([seen, await rows()]).toEqual([[{ n: 2 }], []])
  })

  it('left again while it runs is not lost when the first run ends before anybody looks', async () => {
    await leave('one', { n: 1 })
    const { runner, begun, end } = held()
    const running = run(a, runner)
    await begun
    await leave('one', { n: 2 })
    end()
    await running
    expect(await rows()).toEqual([{ key: 'one', attempts: 0, held: false, last_error: null, due_in: 0 }])
  })
})

describe('an errand that fails', () => {
  it('is put off, longer each time, an hour at most, with the reason in the row and in the log', async () => {
    await leave('one')
    const waits: unknown[] = []
    for (let attempt = 1; attempt <= 12; attempt++) {
      expect(await run(a, failing)).toBe(1)
      expect(await run(b, nothing)).toBe(0)
      waits.push((await rows())[0]?.['due_in'])
      await makeDue()
    }
    expect(waits).toEqual([10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600, 3_600, 3_600])
    expect(await rows()).toMatchObject([{ key: 'one', attempts: 12, held: false, last_error: 'Apple is away' }])
    expect(logged.map((line) => JSON.parse(line) as unknown)[11]).toMatchObject({ errand: 'learn', attempts: 12, reason: 'Apple is away' })
  })

  it('does not keep the others from running', async () => {
    for (const key of ['one', 'two', 'three']) await leave(key, { key })
    await run(a, async ({ payload }) => {
      if (payload['key'] === 'two') throw new Error('no')
    })
    expect(await rows()).toMatchObject([{ key: 'two', attempts: 1 }])
  })

  it('starts anew when it is left again', async () => {
    await leave('one')
    await run(a, failing)
    await leave('one')
    expect(await rows()).toMatchObject([{ attempts: 0, due_in: 0 }])
  })

  it('of a kind that nobody knows stays for a newer process', async () => {
    await database.query(`insert into jobs (kind, key) values ('newer', 'one')`)
    expect(await run(a, nothing)).toBe(1)
    expect(await rows()).toMatchObject([{ key: 'one', held: false, last_error: 'nobody knows how to run newer' }])
  })
})

describe('an errand whose runner died', () => {
  const expire = () => database.query(`update jobs set leased_until = now() - interval '1 second'`)

  it('stays the runner’s for its lease and is run by another process after it', async () => {
    await leave('one')
    const { runner, begun, end } = held()
    const dead = run(a, runner)
    await begun
    expect(await run(b, nothing)).toBe(0)
    await expire()
    expect(await run(b, nothing)).toBe(1)
    expect(await rows()).toEqual([])
    end()
    await dead
  })

  it.each([['well', undefined], ['badly', new Error('late')]])('is settled by the second runner alone, when the first one ends %s after all', async (_how, error) => {
    await leave('one')
    const first = held()
    const second = held()
    const late = run(a, first.runner)
    await first.begun
    await expire()
    const running = run(b, second.runner)
    await second.begun
    first.end(error)
    await late
    expect(await rows()).toEqual([{ key: 'one', attempts: 2, held: true, last_error: null, due_in: 0 }])
    second.end()
    await running
    expect(await rows()).toEqual([])
  })
})
