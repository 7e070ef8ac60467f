import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Deps } from '../../src/base/deps.ts'
import { leaveErrand, NUDGE } from '../../src/base/jobs.ts'
import { startListening, startLoop, type Loop } from '../../src/base/loops.ts'
import { until } from '../support/bramley.ts'
import { testDeps } from '../support/deps.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'

const HOUR = 3_600_000
const lines: string[] = []
const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) })
let loop: Loop | undefined

beforeEach(() => void lines.splice(0))
afterEach(() => loop?.stop())

/** A loop whose rounds the test answers, one by one: true for more, false for nothing more, or an error. */
function controlled(pauseMs = HOUR) {
  let rounds = 0
  let answers: ((answer: boolean | Error) => void) | undefined
  loop = startLoop('test', log, pauseMs, () => {
    rounds += 1
    return new Promise<boolean>((resolve, reject) => {
      answers = (answer) => (answer instanceof Error ? reject(answer) : resolve(answer))
    })
  })
  /** Waits for round n to have begun, then ends it. */
  const end = async (n: number, answer: boolean | Error) => {
    await until(async () => rounds === n, `round ${n}`)
    answers?.(answer)
  }
  return { loop, end, rounds: () => rounds }
}

/** Whatever could happen at once has happened after this many turns of the event loop. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

describe('a loop', () => {
  it('goes on at once while there is more, and pauses when there is not', async () => {
    const { end, rounds } = controlled()
    await end(1, true)
    await end(2, true)
    await end(3, false)
    await settle()
    expect(rounds()).toBe(3)
  })

  it('comes back by itself after its pause', async () => {
    const { end, rounds } = controlled(1)
    await end(1, false)
    await end(2, false)
    await end(3, false)
    expect(rounds()).toBe(3)
  })

  it('comes back at once when it is nudged in its pause', async () => {
    const { loop: started, end, rounds } = controlled()
    await end(1, false)
    await settle()
    started.nudge()
    await end(2, false)
    await settle()
    expect(rounds()).toBe(2)
  })

  it('looks once more when it was nudged in the middle of a round, however often', async () => {
    const { loop: started, end, rounds } = controlled()
    await until(async () => rounds() === 1)
    for (let i = 0; i < 5; i++) started.nudge()
    await end(1, false)
    await end(2, false)
    await settle()
    expect(rounds()).toBe(2)
  })

  it('goes on after a failure, and reports the first in a row only', async () => {
    const { end } = controlled(1)
    await end(1, new Error('database away'))
    await end(2, new Error('database away'))
    await end(3, new Error('database away'))
    await end(4, false)
    await end(5, new Error('away again'))
    await end(6, false)
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { loop: 'test', reason: 'database away', msg: 'background work failed; trying again' }, { loop: 'test', reason: 'away again' },
    ])
  })

  it('stops in its pause without another round', async () => {
    const { loop: started, end, rounds } = controlled()
    await end(1, false)
    await settle()
    await started.stop()
    started.nudge()
    await settle()
    expect(rounds()).toBe(1)
  })

  it('stops after the round in hand, which is told, and not before', async () => {
    const happened: string[] = []
    const { promise, resolve } = defer()
    loop = startLoop('test', log, HOUR, async (stopping) => {
      stopping.addEventListener('abort', () => happened.push('told'))
      await promise
      happened.push('round ended')
      return true
    })
    const stopped = loop.stop().then(() => happened.push('stopped'))
    await settle()
    expect(happened).toEqual(['told'])
    resolve()
    await stopped
    expect(happened).toEqual(['told', 'round ended', 'stopped'])
  })
})

function defer(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}

describe('listening', () => {
  let database: FreshDatabase
  let deps: Deps
  beforeAll(async () => {
    database = await freshDatabase()
    deps = testDeps(database.url)
  })
  afterAll(async () => {
    await deps.db.close()
    await database.drop()
  })
  const listeners = () => database.query<{ pid: number }>(
    `select pid from pg_stat_activity where application_name = 'bramley listener' and datname = current_database()`)

  it('hears an errand that another process left, once it is committed', async () => {
    let heard = 0
    const listening = startListening(deps.db, log, { [NUDGE]: () => void (heard += 1) })
    await until(async () => heard === 1, 'the first look around')
    await deps.work({ kind: 'system' }, async (work) => {
      await leaveErrand(work.tx, 'learn', 'one', {})
      await settle()
      expect(heard).toBe(1)
    })
    await until(async () => heard === 2, 'the nudge')
    await listening.stop()
    await until(async () => (await listeners()).length === 0, 'the connection to be closed')
  })

  it('keeps channels apart', async () => {
    const heard: string[] = []
    const listening = startListening(deps.db, log, { one: () => void heard.push('one'), two: () => void heard.push('two') })
    await until(async () => heard.length === 2, 'the first look around')
    for (const channel of ['two', 'three', 'one']) await database.query(`select pg_notify($1, '')`, [channel])
    await until(async () => heard.length >= 4, 'both nudges')
    expect(heard.slice(2)).toEqual(['two', 'one'])
    await listening.stop()
  })

  it('connects again when its connection is lost, and looks around for what it may have missed', async () => {
    let heard = 0
    const listening = startListening(deps.db, log, { [NUDGE]: () => void (heard += 1) })
    await until(async () => heard === 1, 'the first look around')
    await database.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'bramley listener' and datname = current_database()`)
    await until(async () => heard === 2, 'the second look around')
    await database.query(`select pg_notify('${NUDGE}', '')`)
    await until(async () => heard === 3, 'the nudge')
    expect(await listeners()).toHaveLength(1)
    await listening.stop()
  })

  it('keeps no connection that could not listen', async () => {
    const listening = startListening(deps.db, log, { 'no channel; at all': () => undefined })
    await until(async () => lines.some((line) => line.includes('syntax error')), 'the failure')
    await until(async () => (await listeners()).length === 0, 'the connection to be closed')
    await listening.stop()
  })
})
