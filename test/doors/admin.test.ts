import type { FastifyInstance, RouteOptions } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Deps } from '../../src/base/deps.ts'
import type { Feature } from '../../src/doors/admin/index.ts'
import { createKey, registerAccess, revokeKey } from '../../src/features/access/index.ts'
import { adminApp, ask, keyWith } from '../support/admin-app.ts'
import { testDeps } from '../support/deps.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'
import { probes } from '../support/probes.ts'

let database: FreshDatabase
let deps: Deps
let app: FastifyInstance
let token: string

beforeAll(async () => {
  database = await freshDatabase()
  deps = testDeps(database.url, { settings: { BRAMLEY_PUBLIC_URL: 'https://mdm.example.com' } })
  app = await adminApp(deps, [registerAccess, probes])
  token = (await keyWith(deps, 'admin')).token
})

afterAll(async () => {
  await app.close()
  await deps.db.close()
  await database.drop()
})

describe('who may come in', () => {
  it.each([
    ['no key', {}],
    ['a wrong key', { authorization: 'Bearer brm_live_wrong' }],
    ['another scheme', { authorization: 'Digest x' }],
  ])('answers %s with 401 and the way to do it', async (_what, headers) => {
    const answer = await app.inject({ url: '/api/v1/me', headers })
    expect([answer.statusCode, answer.headers['www-authenticate']]).toEqual([401, 'Bearer realm="bramley"'])
    expect(answer.json()).toMatchObject({ code: 'unauthenticated' })
  })

  it('says of an expired key that it has expired', async () => {
    const key = await keyWith(deps, 'devices:read')
    await database.query(`update api_keys set expires_at = now() where id = $1`, [key.id])
    const answer = await ask(app, key.token, 'GET', '/me')
    expect(answer.json()).toMatchObject({ status: 401, code: 'key_expired' })
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="bramley"')
  })

  it('refuses a revoked key with the very next request', async () => {
    const key = await keyWith(deps, 'devices:read')
    expect((await ask(app, key.token, 'GET', '/me')).statusCode).toBe(200)
    await deps.work({ kind: 'system' }, (work) => revokeKey(work, key.id))
    expect((await ask(app, key.token, 'GET', '/me')).json()).toMatchObject({ status: 401, code: 'unauthenticated' })
  })

  const parameters = ['access_token', 'api_key', 'token', 'Authorization', 'q']
  it.each(parameters)('refuses a key in the query parameter %s, beside a right header too', async (name) => {
    const answer = await ask(app, token, 'GET', `/probe/list?${name}=${token}`)
    expect(answer.json()).toMatchObject({ status: 400, code: 'malformed_request' })
    expect(answer.body).not.toContain(token)
    expect((await app.inject(`/api/v1/probe/list?${name}=${token}`)).statusCode).toBe(400)
  })

  it('names the scope that a key lacks', async () => {
    const reader = await keyWith(deps, 'devices:read')
    expect((await ask(app, reader.token, 'GET', '/probe/list')).statusCode).toBe(200)
    const answer = await ask(app, reader.token, 'POST', '/probe', { name: 'x' })
    expect(answer.json())
      .toMatchObject({ status: 403, code: 'missing_scope', scope: 'devices:write' })
  })

  it('refuses before it reads the body', async () => {
    const headers = { 'content-type': 'application/json' }
    const answer = await app.inject({ method: 'POST', url: '/api/v1/probe', headers, payload: '{' })
    expect(answer.statusCode).toBe(401)
  })

  it('knows which key made the request', async () => {
    const key = await keyWith(deps, 'devices:write')
    expect((await ask(app, key.token, 'POST', '/probe', { name: 'x' })).json())
      .toEqual({ saw: { name: 'x' }, by: key.id })
  })

  it('does not know a key whose unit of work was rolled back', async () => {
    let lost = ''
    await expect(deps.work({ kind: 'system' }, async (work) => {
      lost = (await createKey(work, { name: 'x', scopes: ['admin'] })).token
      throw new Error('undo')
    })).rejects.toThrow('undo')
    expect((await ask(app, lost, 'GET', '/me')).statusCode).toBe(401)
  })
})

describe('what is answered', () => {
  it('gives refusals in the shape of RFC 9457 with our members', async () => {
    const answer = await ask(app, token, 'GET', '/probe/problem', undefined, { 'x-request-id': 'job-17.a' })
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8')
    expect(answer.json()).toEqual({
      type: 'https://mdm.example.com/docs/errors/push-topic-mismatch',
      code: 'push_topic_mismatch',
      title: 'This certificate is for a different push topic',
      status: 409,
      detail: 'Two topics.',
      hint: 'At identity.apple.com press Renew on the existing row, with the same Apple Account.',
      instance: '/api/v1/probe/problem',
      request_id: 'job-17.a',
      errors: [{ pointer: '/certificate', code: 'topic', detail: 'differs' }],
      affected_devices: 58,
    })
  })

  const urls = ['/me', '/nothing', '/probe/problem', '/probe/bug', '/api-keys?x=1']
  it.each(urls)('carries the same headers on %s', async (url) => {
    const answer = await ask(app, token, 'GET', url)
    expect(answer.headers['x-request-id']).toMatch(/^req_[0-9A-HJKMNP-TV-Z]{26}$/)
    expect(answer.headers['server-timing']).toMatch(/^total;dur=\d+\.\d$/)
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
  })

  const strange = [['has a space in it', 'a b'], ['is long', 'a'.repeat(65)], ['is empty', '']] as const
  it.each(strange)('makes a request id of its own when the given one %s', async (_what, id) => {
    expect((await ask(app, token, 'GET', '/me', undefined, { 'x-request-id': id })).headers['x-request-id'])
      .toMatch(/^req_/)
  })

  it('tells a wrong method from a wrong path', async () => {
    const wrong = await ask(app, token, 'PATCH', '/probe/1/raw', 'x', { 'content-type': 'text/plain' })
    expect([wrong.statusCode, wrong.headers['allow'], wrong.json<{ code: string }>().code])
      .toEqual([405, 'PUT', 'method_not_allowed'])
    expect((await app.inject({ method: 'DELETE', url: '/api/v1/me' })).headers['allow']).toBe('GET, HEAD')
    expect((await app.inject({ method: 'POST', url: '/api/v1' })).headers['allow']).toBe('GET, HEAD')
    expect((await ask(app, token, 'GET', '/probe/1/2/raw')).json())
      .toMatchObject({ status: 404, code: 'not_found', instance: '/api/v1/probe/1/2/raw' })
  })

  it('answers URLs that no route gets to see in the same shape', async () => {
    expect((await ask(app, token, 'GET', '/%zz')).json()).toMatchObject({ status: 400, code: 'malformed_request' })
    expect((await ask(app, token, 'DELETE', `/api-keys/${'a'.repeat(101)}`)).json())
      .toMatchObject({ status: 404, code: 'not_found' })
  })

  it('says 503 and when to come again while the database is away', async () => {
    const away = testDeps('postgres://nobody@127.0.0.1:1/nothing')
    const apart = await adminApp(away)
    const answer = await ask(apart, token, 'GET', '/me')
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '5'])
    expect(answer.json()).toMatchObject({ code: 'database_unavailable' })
    expect(answer.body).not.toContain('ECONNREFUSED')
    await apart.close()
    await away.db.close()
  })

  it('describes itself: links, status, OpenAPI', async () => {
    const { links } = (await app.inject('/api/v1')).json<{ links: Record<string, string> }>()
    expect(links)
      .toMatchObject({ me: '/api/v1/me', api_keys: '/api/v1/api-keys', openapi_json: '/api/v1/openapi.json' })
    const status = await ask(app, token, 'GET', '/status')
    expect(status.json())
      .toMatchObject({ version: '0.1.0', public_url: 'https://mdm.example.com', simulator: 'auto' })
    expect(status.json<{ schema_version: number }>().schema_version).toBeGreaterThan(0)
    expect((await app.inject('/api/v1/status')).statusCode).toBe(401)
    const document = (await app.inject('/api/v1/openapi.json')).json<{ openapi: string; paths: object }>()
    expect(document.openapi).toBe('3.1.0')
    expect(document.paths).toHaveProperty(['/api/v1/api-keys/{id}', 'delete', 'responses', 'default'])
  })
})

describe('a route that is not described', () => {
  const shape = { tags: ['Test'], summary: 'x', response: { 200: z.object({}) } }
  const config = { scope: 'admin' } as const
  const incomplete: [string, Pick<RouteOptions, 'config' | 'schema'>, RegExp][] = [
    ['a scope', { schema: shape }, /GET \/api\/v1\/bad lacks config.scope/],
    ['a tag', { config, schema: { ...shape, tags: [] } }, /lacks schema.tags/],
    ['a summary', { config, schema: { ...shape, summary: '' } }, /lacks schema.summary/],
    ['a response schema', { config, schema: { tags: ['Test'], summary: 'x' } }, /lacks schema.response/],
  ]
  it.each(incomplete)('keeps the server from starting when it lacks %s', async (_what, options, message) => {
    const bad: Feature = (api) => void api.route({ method: 'GET', url: '/bad', handler: async () => ({}), ...options })
    await expect(adminApp(deps, [bad])).rejects.toThrow(message)
  })

  it('closes its schemas itself when its author forgot to', async () => {
    const loose: Feature = (api) => void api.post('/loose', {
      config, schema: { ...shape, body: z.object({ a: z.string() }) },
    }, async () => ({}))
    const apart = await adminApp(deps, [loose])
    expect((await ask(apart, token, 'POST', '/loose', { a: 'x', b: 1 })).json())
      .toMatchObject({ status: 422, errors: [{ pointer: '/b' }] })
    await apart.close()
  })
})
