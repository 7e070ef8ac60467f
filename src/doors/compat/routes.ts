import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { principalOf } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import type { Clients } from '../../features/push/index.ts'
import { bodyOf, BODY_LIMIT } from './body.ts'
import { enqueue } from './enqueue.ts'
import { ESCROW_LIMIT, unlockByEscrowKey } from './escrow.ts'
import { importMessage } from './migration.ts'
import { push } from './push.ts'
import { getPushCertificate, putPushCertificate } from './pushcert.ts'
import { shapeResult, statusOf, type Result } from './result.ts'
import { PlainRefusal, sendJson } from './speech.ts'

/** The routes of NanoMDM's API under one prefix. Any method where upstream asks for none. */
export function addRoutes(app: FastifyInstance, deps: Deps, clients: Clients, prefix: string): void {
  const bodyLimit = BODY_LIMIT
  // A wildcard, because a parameter ends at 100 characters, and callers send 30 ids and more.
  const withIds = (name: string, handler: (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>) => {
    for (const url of [`${prefix}/${name}`, `${prefix}/${name}/*`]) app.all(url, { bodyLimit }, handler)
  }

  withIds('push', async (request, reply) => sendResult(reply, await push(deps, clients, idsOf(request))))

  withIds('enqueue', async (request, reply) => {
    const body = await bodyOf(request)
    const noPush = Boolean(queryOf(request, 'nopush'))
    return sendResult(reply, await enqueue(deps, clients, { ids: idsOf(request), body, noPush, principal: principalOf(request) }))
  })

  app.all(`${prefix}/pushcert`, { bodyLimit }, async (request, reply) => {
    allow(request, reply, 'GET, PUT')
    const said = request.method === 'GET'
      ? await getPushCertificate(deps, queryOf(request, 'topic'))
      : await putPushCertificate(deps, principalOf(request), await bodyOf(request))
    return sendJson(reply, said.status, said.body)
  })

  app.all(`${prefix}/escrowkeyunlock`, { bodyLimit: ESCROW_LIMIT }, async (request, reply) => {
    allow(request, reply, 'POST, PUT, PATCH')
    const answer = await unlockByEscrowKey(deps, principalOf(request), await bodyOf(request))
    if ('error' in answer) return sendJson(reply, answer.status, { error: answer.error })
    return reply.code(answer.status).header('content-type', answer.contentType).send(answer.body)
  })
}

/** Where tools send what they read from another server; it has no prefix. */
export function addMigration(app: FastifyInstance, deps: Deps): void {
  app.all('/migration', { bodyLimit: BODY_LIMIT }, async (request, reply) => {
    const answer = await importMessage(deps, principalOf(request), await bodyOf(request))
    return 'error' in answer ? sendJson(reply, answer.status, { error: answer.error }) : reply.code(answer.status).send('')
  })
}

/** Refuses other methods than these. */
function allow(request: FastifyRequest, reply: FastifyReply, methods: string): void {
  if (methods.split(', ').includes(request.method)) return
  reply.header('allow', methods)
  throw new PlainRefusal(405)
}

/** The ids in the path, which Fastify has percent-decoded: neither trimmed nor changed. */
function idsOf(request: FastifyRequest): string[] {
  const path = (request.params as { '*'?: string })['*'] ?? ''
  return path === '' ? [] : path.split(',')
}

function queryOf(request: FastifyRequest, name: string): string | undefined {
  const value = (request.query as Record<string, string | string[] | undefined>)[name]
  return Array.isArray(value) ? value[0] : value
}

function sendResult(reply: FastifyReply, result: Result): FastifyReply {
  return sendJson(reply, statusOf(result), shapeResult(result))
}
