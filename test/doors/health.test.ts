import Fastify, { type FastifyInstance } from 'fastify'
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { openVault } from '../../src/base/vault.ts'
import { healthDoor, type HealthState } from '../../src/doors/health.ts'
import { testDeps, type TestDepsOptions } from '../support/deps.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'

let database: FreshDatabase
const open: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  database = await freshDatabase()
})

afterAll(async () => {
  for (const close of open) await close()
  await database.drop()
})

async function door(state: HealthState, options: TestDepsOptions = {}, url = database.url): Promise<FastifyInstance> {
  const deps = testDeps(url, options)
  const app = Fastify({ logger: false })
  await app.register(healthDoor(deps, state))
  open.push(() => app.close(), () => deps.db.close())
  return app
}

const RUNNING: HealthState = { ready: true, draining: false }
const NOWHERE = 'postgres://nobody@127.0.0.1:1/nothing'
const failing = (body: { checks: { name: string; ok: boolean }[] }) => (
  body.checks.filter((check) => !check.ok).map(({ name }) => name)
)

describe('/healthz', () => {
  it('is 200 while the process lives, whatever the database does', async () => {
    const answer = await (await door({ ready: false, draining: true }, {}, NOWHERE)).inject('/healthz')
    expect([answer.statusCode, answer.body]).toEqual([200, '{"status":"ok"}'])
  })
})

describe('/version', () => {
  it('is exactly the version, as NanoMDM answers it', async () => {
    const answer = await (await door(RUNNING, {}, NOWHERE)).inject('/version')
    expect([answer.statusCode, answer.body]).toEqual([200, '{"version":"0.1.0"}'])
  })
})

describe('/readyz', () => {
  it('is 200 with every check when all is well, again and again', async () => {
    const names = ['process', 'database', 'migrations', 'secret_key']
    const app = await door(RUNNING)
    for (let i = 0; i < 2; i++) {
      const answer = await app.inject('/readyz')
      expect(answer.statusCode).toBe(200)
      expect(answer.json()).toMatchObject({ status: 'ready', checks: names.map((name) => ({ name, ok: true })) })
    }
  })

  it.each([['starting', { ready: false, draining: false }], ['draining', { ready: true, draining: true }]])(
    'is 503 with Retry-After while %s', async (phase, state) => {
      const answer = await (await door(state)).inject('/readyz')
      expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '5'])
      expect(answer.json<{ checks: unknown[] }>().checks[0]).toEqual({ name: 'process', ok: false, detail: phase })
    },
  )

  it('follows its state without a restart', async () => {
    const state = { ready: false, draining: false }
    const app = await door(state)
    expect((await app.inject('/readyz')).statusCode).toBe(503)
    state.ready = true
    expect((await app.inject('/readyz')).statusCode).toBe(200)
    state.draining = true
    expect((await app.inject('/readyz')).statusCode).toBe(503)
  })

  it('is 503 without a database, and names no address', async () => {
    const answer = await (await door(RUNNING, {}, NOWHERE)).inject('/readyz')
    expect(answer.statusCode).toBe(503)
    expect(failing(answer.json())).toEqual(['database', 'migrations', 'secret_key'])
    expect(answer.body).not.toContain('127.0.0.1')
  })

  it('is 503 with another secret key than the one that sealed this database', async () => {
    expect((await (await door(RUNNING)).inject('/readyz')).statusCode).toBe(200)
    const answer = await (await door(RUNNING, { vault: openVault(randomBytes(32)) })).inject('/readyz')
    expect(answer.statusCode).toBe(503)
    expect(failing(answer.json())).toEqual(['secret_key'])
  })

  it('is 503 on an older schema and 200 on a newer one', async () => {
    const apart = await freshDatabase()
    open.unshift(() => apart.drop())
    const app = await door(RUNNING, {}, apart.url)
    const later = `insert into migrations (number, name, sha256) select max(number) + 1, 'later', 'x' from migrations`
    await apart.query(later)
    expect((await app.inject('/readyz')).statusCode).toBe(200)
    await apart.query('delete from migrations')
    const older = await app.inject('/readyz')
    expect([older.statusCode, failing(older.json())]).toEqual([503, ['migrations', 'secret_key']])
  })

  it('asks the database once for all who ask at the same moment', async () => {
    const deps = testDeps(database.url)
    const asked = vi.spyOn(deps.db.pool, 'query')
    const app = Fastify({ logger: false })
    await app.register(healthDoor(deps, RUNNING))
    open.push(() => app.close(), () => deps.db.close())
    const answers = await Promise.all(Array.from({ length: 20 }, () => app.inject('/readyz')))
    expect(answers.map((answer) => answer.statusCode)).toEqual(Array.from({ length: 20 }, () => 200))
    expect(asked.mock.calls.length).toBeLessThan(5)
  })
})
