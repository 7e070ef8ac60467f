import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deps } from '../../src/base/deps.ts'
import { createLog } from '../../src/base/log.ts'
import { registerAccess } from '../../src/features/access/index.ts'
import { adminApp, ask, keyWith } from '../support/admin-app.ts'
import { testDeps } from '../support/deps.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'
import { probes } from '../support/probes.ts'

let database: FreshDatabase
let deps: Deps
let app: FastifyInstance
let token: string
const log: string[] = []

beforeAll(async () => {
  database = await freshDatabase()
  deps = testDeps(database.url, { log: createLog('debug', { write: (line) => void log.push(line) }) })
  app = await adminApp(deps, [registerAccess, probes])
  token = (await keyWith(deps, 'admin')).token
})

afterAll(async () => {
  await app.close()
  await deps.db.close()
  await database.drop()
})

describe('the log', () => {
  it('has one line for each request, with the route and the key by their names', async () => {
    const key = await keyWith(deps, 'devices:read')
    log.length = 0
    await ask(app, key.token, 'GET', '/probe/list?limit=4', undefined, { 'x-request-id': 'one' })
    await ask(app, key.token, 'POST', '/probe', { name: 'x' }, { 'x-request-id': 'two' })
    const lines = log.map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(lines).toHaveLength(2)
    expect(lines[0]).toMatchObject({ level: 'info', door: 'admin', requestId: 'one', status: 200, apiKey: key.id })
    expect(lines[0]).toMatchObject({ route: 'GET /api/v1/probe/list' })
    expect(lines[1]).toMatchObject({ requestId: 'two', status: 403, reason: 'missing_scope', apiKey: key.id })
  })

  it('holds no secret, whatever the request was', async () => {
    log.length = 0
    const json = { 'content-type': 'application/json' }
    const secret = (await keyWith(deps, 'admin')).token
    const wish = { name: 'x', scopes: ['admin'] }
    const made = await ask(app, secret, 'POST', '/api-keys', wish, { 'idempotency-key': 'a' })
    const fresh = made.json<{ token: string }>().token
    await ask(app, secret, 'GET', `/probe/list?token=${secret}`)
    await ask(app, secret, 'GET', `/nothing/${secret}`)
    await app.inject({ method: 'POST', url: '/api/v1/setup', payload: { token: 'SECRET-SETUP' } })
    const headers = { ...json, cookie: `a=${secret}`, 'mdm-signature': secret }
    await ask(app, secret, 'POST', '/probe', `{"name":"${secret}"`, headers)
    await database.query('alter table api_keys add constraint broken check (last_four is null) not valid')
    const failed = await ask(app, secret, 'POST', '/api-keys', { name: 'SECRET-NAME', scopes: ['admin'] })
    await database.query('alter table api_keys drop constraint broken')
    expect(failed.statusCode).toBe(500)
    const written = log.join('')
    expect(log.length).toBeGreaterThanOrEqual(7)
    for (const word of [secret.slice(9), fresh.slice(9), 'SECRET-SETUP', 'SECRET-NAME']) expect(written)
      .not.toContain(word)
  })

  it('tells nothing about a bug but where to look, and writes its stack down', async () => {
    log.length = 0
    const answer = await ask(app, token, 'GET', '/probe/bug')
    const { request_id: id } = answer.json<{ request_id: string }>()
    expect(answer.json()).toMatchObject({ status: 500, code: 'internal_error', detail: 'The server made a mistake' })
    expect(answer.body).not.toContain('innermost')
    const line: unknown = JSON.parse(log.find((one) => one.includes('innermost')) ?? '{}')
    expect(line).toMatchObject({ level: 'error', requestId: id, stack: expect.stringContaining('probes.ts') })
  })

  it('treats an answer that breaks its own schema as a bug', async () => {
    log.length = 0
    expect((await ask(app, token, 'GET', '/probe/shape')).json()).toMatchObject({ status: 500, code: 'internal_error' })
    expect(log.join('')).toContain('"findings":[{"path":"by","code":"invalid_type"}]')
  })
})
