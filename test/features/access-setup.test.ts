import type { FastifyInstance } from 'fastify'
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SCOPES } from '../../src/base/api.ts'
import type { Deps } from '../../src/base/deps.ts'
import { authenticate, bootstrapKey, makeSetupToken, revokeKey } from '../../src/features/access/index.ts'
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
const system = { kind: 'system' } as const

describe('the bootstrap file', () => {
  const text = 'a-password-manager-made-this:0123456789'

  it('becomes a key with every scope, which opens the API as it was written', async () => {
    expect(await bootstrapKey(deps, `  ${text}\n`)).toBe(true)
    expect((await authenticate(deps, bearer(text))).scopes).toEqual(SCOPES)
    const basic = { authorization: `Basic ${Buffer.from(`${text}:`).toString('base64')}` }
    expect((await authenticate(deps, basic)).name).toBe('bootstrap')
  })

  it('makes one key when two processes start at once', async () => {
    const made = await Promise.all([deps, other, deps, other].map((each) => bootstrapKey(each, text)))
    expect(made.filter((one) => one)).toHaveLength(1)
    expect(await database.query('select id from api_keys')).toHaveLength(1)
  })

  it('is ignored once there is a key, also when that one is revoked and whatever the file holds', async () => {
    const { id } = await keyWith(deps, 'devices:read')
    await deps.work(system, (work) => revokeKey(work, id))
    expect(await bootstrapKey(deps, text)).toBe(false)
    expect(await bootstrapKey(deps, '')).toBe(false)
    await expect(authenticate(deps, bearer(text))).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  const unfit = [
    ['too short', 'x'.repeat(31)], ['empty', ' \n'], ['two lines', `${text}\n${text}`], ['not ASCII', `${text}é`],
  ]
  it.each(unfit)('stops the start when it is %s, without quoting it', async (_what, wrong = '') => {
    await expect(bootstrapKey(deps, wrong)).rejects.toThrow(
      /^BRAMLEY_BOOTSTRAP_TOKEN_FILE must hold one line of 32 or more printable ASCII characters without spaces$/,
    )
    expect(await database.query('select id from api_keys')).toHaveLength(0)
  })
})

describe('POST /setup', () => {
  const setup = (payload: object, headers: Record<string, string> = {}, remoteAddress = '127.0.0.1', through = app) => (
    through.inject({ method: 'POST', url: '/api/v1/setup', payload, headers, remoteAddress })
  )

  it('turns the printed token into the first key, which may do everything', async () => {
    const token = await makeSetupToken(deps)
    expect(token).toMatch(/^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}$/)
    const answer = await setup({ token, name: 'laptop' })
    expect(answer.statusCode).toBe(201)
    expect(answer.json())
      .toMatchObject({ name: 'laptop', scopes: SCOPES, token_shown_once: true, expires_at: null, created_by: 'system' })
    const me = await ask(app, answer.json<{ token: string }>().token, 'GET', '/me')
    expect(me.json()).toMatchObject({ id: answer.json<{ id: string }>().id, name: 'laptop' })
    expect(me.body).not.toContain('brm_live_')
  })

  it('reads the token as people type it', async () => {
    const hash = deps.vault.fingerprint('0A1B0A1B0A1B', 'setup token')
    await database.query(`insert into setup_tokens (hash, expires_at) values ($1, now() + interval '1 minute')`, [hash])
    expect((await setup({ token: ' oAlb-0a1B OaIb' })).statusCode).toBe(201)
  })

  it('works once: later tries are told that the server is set up', async () => {
    const [first, second] = [await makeSetupToken(deps), await makeSetupToken(other)]
    expect((await setup({ token: first })).statusCode).toBe(201)
    for (const token of [first, second, 'AAAA-AAAA-AAAA']) {
      const answer = await setup({ token })
      expect([answer.statusCode, answer.json<{ code: string }>().code]).toEqual([409, 'already_set_up'])
    }
    expect(await makeSetupToken(deps)).toBeUndefined()
  })

  it('makes one key of two tokens used at once in two processes', async () => {
    const second = await adminApp(other)
    const tokens = [await makeSetupToken(deps), await makeSetupToken(other)]
    const answers = await Promise.all([
      setup({ token: tokens[0] }), setup({ token: tokens[1] }, {}, '127.0.0.1', second),
    ])
    expect(answers.map((answer) => String(answer.statusCode)).toSorted()).toEqual(['201', '409'])
    expect(await database.query('select id from api_keys')).toHaveLength(1)
    await second.close()
  })

  it('gives a lost answer again to a retry with the same Idempotency-Key', async () => {
    const body = { token: await makeSetupToken(deps) }
    const first = await setup(body, { 'idempotency-key': 'setup-1' })
    const again = await setup(body, { 'idempotency-key': 'setup-1' })
    expect([again.statusCode, again.body]).toEqual([201, first.body])
    expect(again.headers['idempotency-replayed']).toBe('true')
    expect((await setup({ token: 'AAAA-AAAA-AAAA' }, { 'idempotency-key': 'setup-1' })).statusCode).toBe(422)
  })

  it('refuses a wrong and an old token', async () => {
    const token = await makeSetupToken(deps)
    expect((await setup({ token: 'AAAA-AAAA-AAAA' })).json())
      .toMatchObject({ status: 403, code: 'setup_token_invalid' })
    await database.query(`update setup_tokens set expires_at = now() - interval '1 second'`)
    expect((await setup({ token })).json()).toMatchObject({ status: 403, code: 'setup_token_invalid' })
  })

  it('stores the token under a keyed hash', async () => {
    const token = (await makeSetupToken(deps))?.replaceAll('-', '') ?? ''
    const [row] = await database.query<{ hash: Buffer }>('select hash from setup_tokens')
    expect(row?.hash).toEqual(deps.vault.fingerprint(token, 'setup token'))
    expect(row?.hash).not.toEqual(createHash('sha256').update(token).digest())
  })

  it('locks an address out after ten failures for the rest of ten minutes, the right token included', async () => {
    const token = await makeSetupToken(deps)
    for (let i = 0; i < 10; i++) expect((await setup({ token: `AAAA-AAAA-${1000 + i}` })).statusCode).toBe(403)
    const locked = await setup({ token })
    expect([locked.statusCode, locked.json<{ code: string }>().code]).toEqual([429, 'rate_limited'])
    expect(Number(locked.headers['retry-after'])).toBeGreaterThan(500)
    expect(Number(locked.headers['retry-after'])).toBeLessThanOrEqual(600)
    expect((await setup({ token: 'AAAA-AAAA-AAAA' }, {}, '192.0.2.7')).statusCode).toBe(403)
    await database.query(`update throttles set window_started_at = now() - interval '601 seconds'`)
    expect((await setup({ token })).statusCode).toBe(201)
  })
})
