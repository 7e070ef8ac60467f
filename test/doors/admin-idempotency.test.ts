import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { change, type ApiApp } from '../../src/base/api.ts'
import type { Deps } from '../../src/base/deps.ts'
import type { Feature } from '../../src/doors/admin/index.ts'
import { createKey } from '../../src/features/access/index.ts'
import { adminApp, ask, keyWith } from '../support/admin-app.ts'
import { testDeps } from '../support/deps.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'

let database: FreshDatabase
let deps: Deps
let other: Deps
let app: FastifyInstance
let token: string

beforeAll(async () => {
  database = await freshDatabase()
  deps = testDeps(database.url)
  other = testDeps(database.url)
  app = await adminApp(deps)
  token = (await keyWith(deps, 'admin', 'compat')).token
})

afterAll(async () => {
  await app.close()
  await deps.db.close()
  await other.db.close()
  await database.drop()
})

const wish = { name: 'once', scopes: ['devices:read'] }
const make = (key: string, body: object = wish, through = app, by = token) => (
  ask(through, by, 'POST', '/api-keys', body, { 'idempotency-key': key })
)
const countKeys = async (name: string) => {
  const rows = await database.query('select 1 from api_keys where name = $1', [name])
  return rows.length
}

/** A route that holds its unit of work open until the test lets it go. */
function slow(reached: () => void, go: Promise<void>): Feature {
  return (api: ApiApp, parts: Deps) => void api.post('/slow', {
    config: { scope: 'admin' },
    schema: { tags: ['Test'], summary: 'Slow', response: { 201: z.object({ made: z.string() }) } },
  }, async (request, reply) => change(parts, request, reply, 201, async (work) => {
    reached()
    await go
    return { made: (await createKey(work, { name: 'slow', scopes: ['admin'] })).id }
  }))
}

describe('an Idempotency-Key', () => {
  it('gets the first answer again, byte for byte, with one effect', async () => {
    const first = await make('a-1', { ...wish, name: 'a' })
    const again = await make('a-1', { ...wish, name: 'a' })
    expect([first.statusCode, first.headers['idempotency-replayed']]).toEqual([201, undefined])
    expect([again.statusCode, again.headers['idempotency-replayed']]).toEqual([201, 'true'])
    expect(again.rawPayload).toEqual(first.rawPayload)
    expect(again.headers['content-type']).toBe(first.headers['content-type'])
    expect(again.headers['x-request-id']).not.toBe(first.headers['x-request-id'])
    expect(await countKeys('a')).toBe(1)
  })

  it('gets it from another process too', async () => {
    const first = await make('b-1', { ...wish, name: 'b' })
    const second = await adminApp(other)
    expect((await make('b-1', { ...wish, name: 'b' }, second)).rawPayload).toEqual(first.rawPayload)
    expect(await countKeys('b')).toBe(1)
    await second.close()
  })

  it('is refused with another body', async () => {
    await make('c-1', { ...wish, name: 'c' })
    expect((await make('c-1', { ...wish, name: 'c2' })).json())
      .toMatchObject({ status: 422, code: 'idempotency_key_reused' })
    expect(await countKeys('c2')).toBe(0)
  })

  it('belongs to the API key that sent it', async () => {
    const stranger = (await keyWith(deps, 'admin')).token
    const mine = await make('d-1', { ...wish, name: 'd' })
    const theirs = await make('d-1', { ...wish, name: 'd' }, app, stranger)
    expect(theirs.json<{ id: string }>().id).not.toBe(mine.json<{ id: string }>().id)
    expect(await countKeys('d')).toBe(2)
  })

  it('is answered 409 while the first request still runs, in another process too; then one effect stands', async () => {
    let reached = () => {}
    let release = () => {}
    const inside = new Promise<void>((resolve) => (reached = resolve))
    const go = new Promise<void>((resolve) => (release = resolve))
    const [one, two] = [await adminApp(deps, [slow(reached, go)]), await adminApp(other, [slow(reached, go)])]
    const first = ask(one, token, 'POST', '/slow', undefined, { 'idempotency-key': 'e-1' })
    await inside
    const meanwhile = await ask(two, token, 'POST', '/slow', undefined, { 'idempotency-key': 'e-1' })
    expect(meanwhile.json()).toMatchObject({ status: 409, code: 'request_in_progress' })
    expect(meanwhile.headers['retry-after']).toBe('1')
    release()
    const done = await first
    expect(done.statusCode).toBe(201)
    const later = await ask(two, token, 'POST', '/slow', undefined, { 'idempotency-key': 'e-1' })
    expect(later.rawPayload).toEqual(done.rawPayload)
    expect(await countKeys('slow')).toBe(1)
    await Promise.all([one.close(), two.close()])
  })

  it('does not remember a refusal: the same key may be used again after correcting the cause', async () => {
    const needs = (await keyWith(deps, 'admin')).token
    expect((await make('f-1', { name: 'f', scopes: ['compat'] }, app, needs)).statusCode).toBe(403)
    await database.query(`update api_keys set scopes = scopes || '{compat}' where name = 'test admin'`)
    expect((await make('f-1', { name: 'f', scopes: ['compat'] }, app, needs)).statusCode).toBe(201)
  })

  it('is forgotten after a day', async () => {
    const first = await make('g-1', { ...wish, name: 'g' })
    const aDay = `interval '24 hours 1 second'`
    await database.query(`update idempotency_keys set created_at = now() - ${aDay} where key = 'g-1'`)
    const next = await make('g-1', { ...wish, name: 'g' })
    expect(next.headers['idempotency-replayed']).toBeUndefined()
    expect(next.json<{ id: string }>().id).not.toBe(first.json<{ id: string }>().id)
    expect((await make('g-1', { ...wish, name: 'g' })).rawPayload).toEqual(next.rawPayload)
  })

  const unfit = [['empty', ''], ['longer than 255 characters', 'x'.repeat(256)]] as const
  it.each(unfit)('is refused when it is %s', async (_what, key) => {
    expect((await make(key)).json()).toMatchObject({ status: 400, code: 'malformed_request' })
  })

  it('keeps what is shown once sealed in the database', async () => {
    const made = await make('h-1', { ...wish, name: 'h' })
    const sql = `select encode(sealed_body, 'escape') as stored from idempotency_keys where key = 'h-1'`
    const [row] = await database.query<{ stored: string }>(sql)
    expect(row?.stored.length).toBeGreaterThan(100)
    expect(row?.stored).not.toContain('brm_live_')
    expect(made.body).toContain('brm_live_')
  })
})
