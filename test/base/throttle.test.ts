import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Deps } from '../../src/base/deps.ts'
import { Problem } from '../../src/base/problem.ts'
import { assertAllowed, bucketOf, countFailure, forgetOldFailures, guessing } from '../../src/base/throttle.ts'
import { testDeps } from '../support/deps.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'

let database: FreshDatabase
let deps: Deps
let other: Deps

beforeAll(async () => {
  database = await freshDatabase()
  deps = testDeps(database.url)
  other = testDeps(database.url)
})

afterAll(async () => {
  await deps.db.close()
  await other.db.close()
  await database.drop()
})

beforeEach(async () => {
  await database.query('truncate throttles')
})

const limit = { purpose: 'codes', failures: 3, windowSeconds: 60 }
const wrong = new Error('wrong')
const guess = (right: boolean, through = deps, address = '192.0.2.1') => guessing(
  through.db.read, limit, address, async () => (right ? 'in' : Promise.reject(wrong)), (error) => error === wrong,
)

describe('guessing', () => {
  it('counts failures only, over all processes, and then asks for patience', async () => {
    for (let i = 0; i < 5; i++) expect(await guess(true)).toBe('in')
    for (const through of [deps, other, deps]) await expect(guess(false, through)).rejects.toBe(wrong)
    for (const through of [deps, other]) {
      const refusal: unknown = await guess(true, through).catch((error: unknown) => error)
      expect(refusal).toMatchObject({ code: 'rate_limited' })
      const seconds = refusal instanceof Problem ? refusal.options.retryAfterSeconds : undefined
      expect(seconds).toBeGreaterThanOrEqual(1)
      expect(seconds).toBeLessThanOrEqual(60)
    }
    expect(await guess(true, deps, '192.0.2.2')).toBe('in')
  })

  it('opens again when the window is over, and starts a new count', async () => {
    for (let i = 0; i < 3; i++) await expect(guess(false)).rejects.toBe(wrong)
    await database.query(`update throttles set window_started_at = now() - interval '61 seconds'`)
    await expect(guess(false)).rejects.toBe(wrong)
    expect(await database.query('select failures from throttles')).toEqual([{ failures: 1 }])
  })

  it('does not count an error that is no wrong guess', async () => {
    const away = async () => Promise.reject(new Error('database away'))
    const made = guessing(deps.db.read, limit, '192.0.2.1', away, (error) => error === wrong)
    await expect(made).rejects.toThrow('database away')
    expect(await database.query('select 1 from throttles')).toEqual([])
  })

  it('tells nothing to guesses beyond the limit that were made at the same moment', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 12 }, () => guess(false)))
    expect(outcomes.filter((outcome) => outcome.status === 'rejected' && outcome.reason === wrong)).toHaveLength(3)
  })
})

it('loses no count when several processes count at once', async () => {
  await Promise.all(Array.from({ length: 20 }, (_, i) => countFailure((i % 2 ? deps : other).db.read, 'b', 99, 60)))
  expect(await database.query('select failures from throttles')).toEqual([{ failures: 20 }])
  await expect(assertAllowed(deps.db.read, 'b', 20, 60)).rejects.toMatchObject({ code: 'rate_limited' })
  await assertAllowed(deps.db.read, 'b', 21, 60)
})

it('forgets counts that are a day old', async () => {
  await countFailure(deps.db.read, 'new', 9, 60)
  await database.query(`insert into throttles values ('old', 1, now() - interval '25 hours')`)
  await forgetOldFailures(deps.db.read)
  expect(await database.query('select bucket from throttles')).toEqual([{ bucket: 'new' }])
})

it.each([
  ['192.0.2.1', 'x:192.0.2.1'],
  ['::ffff:192.0.2.1', 'x:192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', 'x:2001:db8:1:2::/64'],
  ['2001:DB8:1:2::1', 'x:2001:db8:1:2::/64'],
  ['2001:db8::1', 'x:2001:db8:0:0::/64'],
  ['::1', 'x:0:0:0:0::/64'],
  ['fe80::1%eth0', 'x:fe80:0:0:0::/64'],
])('counts %s as %s', (address, bucket) => {
  expect(bucketOf('x', address)).toBe(bucket)
})
