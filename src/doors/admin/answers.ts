import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { Deps } from '../../base/deps.ts'
import { newId } from '../../base/ids.ts'
import type { LogFields } from '../../base/log.ts'
import { counted } from '../../base/metrics.ts'

/** The caller's own request id when it is a harmless one, else a new one. */
export function requestIdOf(request: Pick<IncomingMessage, 'headers'>): string {
  const given = request.headers['x-request-id']
  return typeof given === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(given) ? given : newId('req')
}

/** What every answer of this door carries, and the one line that the log gets about it. */
export function decorateAnswers(app: FastifyInstance, deps: Deps): void {
  app.addHook('preSerialization', async (request, reply, payload) => {
    const cursor = nextCursor(payload)
    if (cursor !== undefined) reply.header('link', `<${nextUrl(deps, request, cursor)}>; rel="next"`)
    return payload
  })
  app.addHook('onSend', async (request, reply) => {
    reply.header('x-request-id', request.id)
    reply.header('server-timing', `total;dur=${reply.elapsedTime.toFixed(1)}`)
    reply.header('cache-control', 'no-store')
    reply.header('x-content-type-options', 'nosniff')
  })
  app.addHook('onResponse', async (request, reply) => {
    const template = request.is404 ? 'unmatched' : (request.routeOptions.url ?? 'unmatched')
    counted.request(template, request.method, reply.statusCode, reply.elapsedTime / 1000)
    deps.log.info(lineOf(request, reply, template), 'request')
  })
}

/** The route's template, never its URL: what stands in a path or query is the caller's business. */
function lineOf(request: FastifyRequest, reply: FastifyReply, template: string): LogFields {
  return {
    door: 'admin',
    requestId: request.id,
    route: `${request.method} ${template}`,
    status: reply.statusCode,
    ms: Math.round(reply.elapsedTime),
    ...(request.principal && { apiKey: request.principal.id }),
    ...(request.refusedAs && { reason: request.refusedAs }),
  }
}

function nextCursor(payload: unknown): string | undefined {
  if (typeof payload !== 'object' || payload === null || !('next_cursor' in payload)) return undefined
  return typeof payload.next_cursor === 'string' ? payload.next_cursor : undefined
}

function nextUrl(deps: Deps, request: FastifyRequest, cursor: string): string {
  const url = new URL(request.url, deps.config.publicUrl)
  url.searchParams.set('cursor', cursor)
  return url.href
}
