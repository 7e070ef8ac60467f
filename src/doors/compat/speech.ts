import type { FastifyReply, FastifyRequest } from 'fastify'
import { asProblem } from '../../base/db.ts'
import type { Log } from '../../base/log.ts'
import { Problem } from '../../base/problem.ts'

/** No, before any handler was asked: a bare status with upstream's plain text. */
export class PlainRefusal extends Error {
  override name = 'PlainRefusal'
  readonly status: PlainStatus

  constructor(status: PlainStatus) {
    super(TEXTS[status])
    this.status = status
  }
}

const TEXTS = {
  400: 'Bad Request', 401: 'Unauthorized', 404: '404 page not found', 405: 'Method Not Allowed', 413: 'Request Entity Too Large',
  500: 'Internal Server Error', 503: 'Service Unavailable',
} as const
type PlainStatus = keyof typeof TEXTS

/** JSON as upstream writes it: indented with tabs, a newline at the end. */
export function sendJson(reply: FastifyReply, status: number, value: object): FastifyReply {
  // Bytes, because Fastify adds a charset to JSON that is a string.
  return reply.code(status).header('content-type', 'application/json').send(Buffer.from(`${JSON.stringify(value, null, '\t')}\n`))
}

/** The only place where an error becomes an answer of this door. */
export function speak(log: Log) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const status = statusOf(asProblem(error))
    const line = { door: 'compat', requestId: request.id, route: request.routeOptions.url, status }
    if (status === 500) log.error({ ...line, err: error }, 'a request met a bug')
    if (status === 401) reply.header('www-authenticate', 'Basic realm="nanomdm"')
    if (status === 503) reply.header('retry-after', '5')
    // What is left of a body that was not read must not be taken for the next request.
    if (status === 413 || status === 401) reply.header('connection', 'close')
    return reply.code(status).type('text/plain; charset=utf-8').send(`${TEXTS[status]}\n`)
  }
}

function statusOf(error: unknown): PlainStatus {
  if (error instanceof PlainRefusal) return error.status
  if (error instanceof Problem) return error.status === 503 ? 503 : 500
  const { code, statusCode } = error as { code?: unknown; statusCode?: unknown }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return 413
  return typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500 ? 400 : 500
}
