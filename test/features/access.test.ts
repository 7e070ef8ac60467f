import type { FastifyInstance } from 'fastify'
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Deps } from '../../src/base/deps.ts'
import { authenticate, createKey, revokeKey } from '../../src/features/access/index.ts'
import { adminApp, ask, keyWith } from '../support/admin-app.ts'
import { testDeps } from '../support/deps.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'

let database: FreshDatabase
let deps: Deps
let other: Deps
let app: FastifyInstance

beforeAll(async () => {
  database = await freshDatabase()
  deps = testDeps(database.url)
  other = testDeps(database.url)
  app = await adminApp(deps)
})

afterAll(async () => {
  await app.close()
  await deps.db.close()
  await other.db.close()
  await database.drop()
})

beforeEach(async () => {
  await database.query('truncate api_keys, setup_tokens, throttles, events, idempotency_keys')
})

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })
const system = { kind: 'system' } as const

describe('a key', () => {
  it('looks like brm_live_, 43 characters of base62 and its own checksum', async () => {
    const { token, lastFour } = await keyWith(deps, 'devices:read')
    const [, body = '', checksum] = /^(brm_live_[0-9A-Za-z]{43})_([0-9a-f]{8})$/.exec(token) ?? []
    expect(checksum).toBe(crc32(body).toString(16).padStart(8, '0'))
    expect(lastFour).toBe(token.slice(-4))
  })

  it('is stored as its hash only', async () => {
    const { token } = await keyWith(deps, 'devices:read')
    const sql = 'select hash, api_keys::text as text from api_keys'
    const rows = await database.query<{ hash: Buffer; text: string }>(sql)
    expect(rows[0]?.hash).toEqual(createHash('sha256').update(token).digest())
    expect(rows[0]?.text).not.toContain(token.slice(9, 40))
  })

  it('leaves an event with its scopes and without its text', async () => {
    const { id, token } = await keyWith(deps, 'devices:read', 'events:read')
    await deps.work(system, (work) => createKey(work, { name: 'a', scopes: ['admin'] }))
    await deps.work(system, (work) => revokeKey(work, id))
    const sql = 'select type, actor, data from events order by seq'
    const events = await database.query<{ type: string; actor: string; data: unknown }>(sql)
    expect(events.map((event) => event.type)).toEqual(['api_key.created', 'api_key.created', 'api_key.revoked'])
    expect(events[0]).toMatchObject({ actor: 'system', data: { api_key: id, scopes: ['devices:read', 'events:read'] } })
    expect(JSON.stringify(events)).not.toContain(token)
  })
})

describe('authenticate', () => {
  it('takes Bearer, and Basic with the key as user name and an empty password', async () => {
    const { id, token } = await keyWith(deps, 'events:read')
    expect(await authenticate(deps, bearer(token))).toEqual({ id, name: 'test events:read', scopes: ['events:read'] })
    expect((await authenticate(deps, basic(`${token}:`))).id).toBe(id)
    expect((await authenticate(deps, { authorization: `bearer ${token}` })).id).toBe(id)
  })

  it.each([
    ['nothing', () => ({})],
    ['an empty header', () => ({ authorization: '' })],
    ['the key without a scheme', (token: string) => ({ authorization: token })],
    ['another scheme', (token: string) => ({ authorization: `Token ${token}` })],
    ['another last character', (token: string) => bearer(`${token.slice(0, -1)}x`)],
    ['a key of another environment', (token: string) => bearer(token.replace('live', 'test'))],
    ['the key as Basic password', (token: string) => basic(`nanomdm:${token}`)],
    ['empty Basic credentials', () => basic(':')],
    ['the hash instead of the key', (token: string) => bearer(createHash('sha256').update(token).digest('hex'))],
  ])('refuses %s', async (_what, headers) => {
    const { token } = await keyWith(deps, 'admin')
    await expect(authenticate(deps, headers(token))).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  it('refuses a revoked key at once, in every process', async () => {
    const { id, token } = await keyWith(deps, 'devices:read')
    expect((await authenticate(other, bearer(token))).id).toBe(id)
    await deps.work(system, (work) => revokeKey(work, id))
    await expect(authenticate(other, bearer(token))).rejects.toMatchObject({ code: 'unauthenticated' })
    await expect(authenticate(deps, bearer(token))).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  it('says of an expired key that it has expired', async () => {
    const { id, token } = await keyWith(deps, 'devices:read')
    await database.query(`update api_keys set expires_at = now() - interval '1 second' where id = $1`, [id])
    await expect(authenticate(deps, bearer(token))).rejects.toMatchObject({ code: 'key_expired' })
  })

  it('notes the last use at most once a minute', async () => {
    const { token } = await keyWith(deps, 'devices:read')
    const lastUse = async () => {
      const rows = await database.query<{ at: Date | null }>('select last_used_at as at from api_keys')
      return rows[0]?.at
    }
    expect(await lastUse()).toBeNull()
    await authenticate(deps, bearer(token))
    const first = await lastUse()
    expect(first).toBeInstanceOf(Date)
    await authenticate(deps, bearer(token))
    expect(await lastUse()).toEqual(first)
    await database.query(`update api_keys set last_used_at = now() - interval '61 seconds'`)
    await authenticate(deps, bearer(token))
    expect((await lastUse())?.getTime()).toBeGreaterThanOrEqual(first?.getTime() ?? Infinity)
  })
})

describe('/api-keys', () => {
  it('makes, lists and revokes keys; the token is in the first answer only', async () => {
    const admin = await keyWith(deps, 'admin')
    const wish = { name: 'ci', scopes: ['events:read', 'devices:read'], expires_at: '2999-01-01T00:00:00+02:00' }
    const made = await ask(app, admin.token, 'POST', '/api-keys', wish)
    expect(made.statusCode).toBe(201)
    const key = made.json<{ id: string; token: string }>()
    expect(key)
      .toMatchObject({ name: 'ci', scopes: ['devices:read', 'events:read'], created_by: admin.id, last_used_at: null })
    expect(key).toMatchObject({ expires_at: '2998-12-31T22:00:00.000Z', token_shown_once: true })
    const list = await ask(app, admin.token, 'GET', '/api-keys')
    expect(list.json<{ data: { id: string }[] }>().data.map(({ id }) => id)).toEqual([key.id, admin.id])
    expect(list.body).not.toContain('brm_live_')
    const revoked = await ask(app, admin.token, 'DELETE', `/api-keys/${key.id}`)
    expect([revoked.statusCode, revoked.body, revoked.headers['content-type']]).toEqual([204, '', undefined])
    expect((await ask(app, key.token, 'GET', '/me')).statusCode).toBe(401)
    expect((await ask(app, admin.token, 'DELETE', `/api-keys/${key.id}`)).statusCode).toBe(204)
    expect((await ask(app, admin.token, 'GET', '/api-keys')).json()).toMatchObject({ data: [{ id: admin.id }] })
    expect(await database.query(`select 1 from events where type = 'api_key.revoked'`)).toHaveLength(1)
  })

  it('pages by signed cursors and links to the next page', async () => {
    const admin = await keyWith(deps, 'admin')
    for (let i = 0; i < 4; i++) await keyWith(deps, 'devices:read')
    const seen: string[] = []
    let url: string | undefined = '/api-keys?limit=2'
    while (url !== undefined) {
      const answer = await ask(app, admin.token, 'GET', url)
      seen.push(...answer.json<{ data: { id: string }[] }>().data.map(({ id }) => id))
      url = /^<https:\/\/localhost:8443\/api\/v1(.+)>; rel="next"$/.exec(String(answer.headers['link']))?.[1]
    }
    expect(seen).toHaveLength(5)
    expect(seen).toEqual(seen.toSorted().toReversed())
    expect((await ask(app, admin.token, 'GET', '/api-keys?cursor=abc.def')).json())
      .toMatchObject({ status: 400, code: 'bad_cursor' })
  })

  it('gives away no scope that the giver lacks', async () => {
    const admin = await keyWith(deps, 'admin')
    const refused = await ask(app, admin.token, 'POST', '/api-keys', { name: 'x', scopes: ['compat'] })
    expect(refused.json()).toMatchObject({ status: 403, code: 'missing_scope', scope: 'compat' })
    const given = await ask(app, admin.token, 'POST', '/api-keys', { name: 'x', scopes: ['actions:destructive'] })
    expect(given.statusCode).toBe(201)
  })

  it('makes no key that has expired already', async () => {
    const admin = await keyWith(deps, 'admin')
    const wish = { name: 'x', scopes: ['admin'], expires_at: '2020-01-01T00:00:00Z' }
    const refused = await ask(app, admin.token, 'POST', '/api-keys', wish)
    expect(refused.json()).toMatchObject({ status: 422, errors: [{ pointer: '/expires_at', code: 'past' }] })
  })

  it('keeps the last living admin key, also when two are revoked at once in two processes', async () => {
    const [one, two] = [await keyWith(deps, 'admin'), await keyWith(deps, 'admin')]
    const outcomes = await Promise.allSettled([
      deps.work(system, (work) => revokeKey(work, one.id)), other.work(system, (work) => revokeKey(work, two.id)),
    ])
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(outcomes.find((outcome) => outcome.status === 'rejected')?.reason).toMatchObject({ code: 'last_admin_key' })
  })

  it('does not count an expired key as another admin', async () => {
    const [one, two] = [await keyWith(deps, 'admin'), await keyWith(deps, 'admin')]
    await database.query(`update api_keys set expires_at = now() - interval '1 second' where id = $1`, [two.id])
    expect((await ask(app, one.token, 'DELETE', `/api-keys/${one.id}`)).json())
      .toMatchObject({ status: 409, code: 'last_admin_key' })
    expect((await ask(app, one.token, 'DELETE', '/api-keys/key_nothing')).json())
      .toMatchObject({ status: 404, code: 'not_found' })
  })
})
