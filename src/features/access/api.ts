import { z } from 'zod'
import { SCOPES, change, changeAs, principalOf, type ApiApp } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import { page, pageOf, pageQuery, readCursor } from '../../base/paging.ts'
import { Problem } from '../../base/problem.ts'
import { guessing, type GuessLimit } from '../../base/throttle.ts'
import { grantKey, revokeKey, type ApiKey, type NewApiKey } from './keys.ts'
import { useSetupToken } from './setup.ts'
import * as store from './store.ts'

const SETUP_LIMIT: GuessLimit = { purpose: 'setup', failures: 10, windowSeconds: 600 }
const LIST = 'api-keys'
const at = z.iso.datetime({ offset: true })
const expiry = at.nullable().default(null).describe('When it stops working; null = never')
const scopes = z.array(z.enum(SCOPES)).min(1)
const name = z.string().trim().min(1).max(100).regex(/^\P{Cc}*$/u, 'must not hold control characters')
  .describe('For people; need not be unique')

const keyShape = z.object({
  id: z.string(), name: z.string(), last_four: z.string(), scopes: z.array(z.enum(SCOPES)),
  created_at: at, created_by: z.string(), expires_at: at.nullable(), last_used_at: at.nullable(),
}).meta({ id: 'ApiKey' })
const newKeyShape = keyShape.extend({ token: z.string().describe('Shown once'), token_shown_once: z.literal(true) })
  .meta({ id: 'NewApiKey' })

/** Setup, API keys, and who am I. */
export function registerAccess(app: ApiApp, deps: Deps): void {
  app.post('/setup', {
    config: { scope: 'anyone' },
    schema: {
      tags: ['Setup'], summary: 'Make the first API key, with the setup token that the server printed',
      body: z.strictObject({ token: z.string().min(1).max(64), name: name.default('first key') }),
      response: { 201: newKeyShape },
    },
  }, async (request, reply) => guessing(deps.db.read, SETUP_LIMIT, request.ip, () => (
    changeAs(deps, { kind: 'system' }, 'setup', request, reply, 201, async (work) => (
      showNew(await useSetupToken(deps, work, request.body.token, request.body.name))
    ))
  ), (error) => error instanceof Problem && error.code === 'setup_token_invalid'))

  app.get('/me', {
    config: { scope: 'any-key' },
    schema: { tags: ['Service'], summary: 'The API key that asks', response: { 200: keyShape } },
  }, async (request) => {
    const key = await store.findKey(deps.db.read, principalOf(request).id)
    if (!key) throw new Problem('unauthenticated')
    return show(key)
  })

  app.get('/api-keys', {
    config: { scope: 'admin' },
    schema: {
      tags: ['API keys'], summary: 'List the API keys that are not revoked, newest first',
      querystring: z.strictObject(pageQuery), response: { 200: pageOf(keyShape) },
    },
  }, async (request) => {
    const { limit, cursor } = request.query
    const rows = await store.listKeys(deps.db.read, readCursor(deps.vault, LIST, cursor), limit + 1)
    return page(deps.vault, LIST, rows, limit, (key) => key.id, show)
  })

  app.post('/api-keys', {
    config: { scope: 'admin' },
    schema: {
      tags: ['API keys'], summary: 'Make an API key; its token is in this answer only',
      body: z.strictObject({ name, scopes, expires_at: expiry }),
      response: { 201: newKeyShape },
    },
  }, async (request, reply) => change(deps, request, reply, 201, async (work) => {
    const { expires_at: until, ...rest } = request.body
    const expiresAt = until === null ? null : new Date(until)
    return showNew(await grantKey(work, principalOf(request), { ...rest, expiresAt }))
  }))

  app.delete('/api-keys/:id', {
    config: { scope: 'admin' },
    schema: {
      tags: ['API keys'], summary: 'Revoke an API key, at once and for good',
      params: z.strictObject({ id: z.string().max(64) }), response: { 204: z.null().describe('Revoked') },
    },
  }, async (request, reply) => {
    await deps.work({ kind: 'key', id: principalOf(request).id }, (work) => revokeKey(work, request.params.id))
    return reply.code(204).send(null)
  })
}

function show(key: ApiKey): z.output<typeof keyShape> {
  return {
    id: key.id,
    name: key.name,
    last_four: key.lastFour,
    scopes: key.scopes,
    created_at: key.createdAt.toISOString(),
    created_by: key.createdBy,
    expires_at: key.expiresAt?.toISOString() ?? null,
    last_used_at: key.lastUsedAt?.toISOString() ?? null,
  }
}

function showNew(key: NewApiKey): z.output<typeof newKeyShape> {
  return { ...show(key), token: key.token, token_shown_once: true }
}
