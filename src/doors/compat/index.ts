import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { principalOf } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import { counted } from '../../base/metrics.ts'
import type { Clients } from '../../features/push/index.ts'
import { acceptBodies, bodyOf, BODY_LIMIT } from './body.ts'
import { enqueue } from './enqueue.ts'
import { gate } from './gate.ts'
import { push } from './push.ts'
import { getPushCertificate, putPushCertificate, type Said } from './pushcert.ts'
import { shapeResult, statusOf, type Result } from './result.ts'
import { PlainRefusal, sendJson, speak } from './speech.ts'

/**
 * The door for scripts and servers written for NanoMDM: push, enqueue and pushcert under `/v1`, with upstream's methods,
 * statuses and JSON (nanomdm, docs/openapi.yaml). An encapsulated plugin, mounted at the root.
 */
export function compatDoor(deps: Deps, clients: Clients) {
  return async (app: FastifyInstance): Promise<void> => {
    app.setErrorHandler(speak(deps.log))
    gate(app, deps)
    acceptBodies(app)
    app.addHook('onSend', async (request, reply) => {
      reply.headers({ 'x-request-id': request.id, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
    })
    app.addHook('onResponse', async (request, reply) => note(deps, request, reply))

    const answerPush = async (request: FastifyRequest, reply: FastifyReply) => (
      sendResult(reply, await push(deps, clients, idsOf(request)))
    )
    const answerEnqueue = async (request: FastifyRequest, reply: FastifyReply) => {
      const body = await bodyOf(request)
      const noPush = Boolean(queryOf(request, 'nopush'))
      return sendResult(reply, await enqueue(deps, clients, { ids: idsOf(request), body, noPush, principal: principalOf(request) }))
    }
    // A wildcard, because a parameter ends at 100 characters, and callers send 30 ids and more.
    for (const url of ['/v1/push', '/v1/push/*']) app.all(url, { bodyLimit: BODY_LIMIT }, answerPush)
    for (const url of ['/v1/enqueue', '/v1/enqueue/*']) app.all(url, { bodyLimit: BODY_LIMIT }, answerEnqueue)

    app.all('/v1/pushcert', { bodyLimit: BODY_LIMIT }, async (request, reply) => {
      if (request.method === 'GET') return say(reply, await getPushCertificate(deps, queryOf(request, 'topic')))
      if (request.method === 'PUT') return say(reply, await putPushCertificate(deps, principalOf(request), await bodyOf(request)))
      reply.header('allow', 'GET, PUT')
      throw new PlainRefusal(405)
    })
  }
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

function say(reply: FastifyReply, { status, body }: Said): FastifyReply {
  return sendJson(reply, status, body)
}

/** The route's template, never its URL. */
function note({ log }: Deps, request: FastifyRequest, reply: FastifyReply): void {
  const url = request.routeOptions.url ?? 'unmatched'
  counted.request(url, request.method, reply.statusCode, reply.elapsedTime / 1000)
  log.info({
    door: 'compat', requestId: request.id, route: `${request.method} ${url}`, status: reply.statusCode, ms: Math.round(reply.elapsedTime),
    ...(request.principal && { apiKey: request.principal.id }),
  }, 'request')
}
