import type { FastifyReply, FastifyRequest } from 'fastify'
import { WireError } from '../../apple/wire/error.ts'
import { asProblem } from '../../base/db.ts'
import type { Log } from '../../base/log.ts'
import { counted } from '../../base/metrics.ts'
import { Problem } from '../../base/problem.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import { IdentityRefused } from '../../features/identity/index.ts'

/** Every status that this door says no with. Never 401, and no 403: devices answer those by removing the enrollment. */
export const REFUSALS = [400, 404, 405, 408, 410, 413, 415, 429, 500, 503] as const
type Refusal = (typeof REFUSALS)[number]

/** The only place where an error becomes a device's answer: a bare status with an empty body. */
export function refuse(log: Log, error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { status, reason } = judge(asProblem(error))
  const line = { door: 'device', route: request.routeOptions.url, requestId: request.id, status, reason }
  if (status === 500) log.error({ ...line, err: error }, 'a device met a bug')
  else log.info(line, 'device_refused')
  if (status === 400) counted.authFailure(reason)
  if (status === 503 || status === 429) reply.header('retry-after', '10')
  // What is left of a body that was not read must not be taken for the next request.
  if (status === 413 || status === 408) reply.header('connection', 'close')
  return reply.code(status).removeHeader('content-type').send('')
}

function judge(error: unknown): { status: Refusal; reason: string } {
  if (error instanceof DeviceRefused) return { status: error.status, reason: error.reason }
  if (error instanceof IdentityRefused || error instanceof WireError) return { status: 400, reason: error.reason }
  if (error instanceof Problem) return { status: statusOf(error), reason: error.code }
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return { status: 413, reason: 'body' }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return { status: 415, reason: 'content_type' }
  if (code.startsWith('FST_ERR_CTP') || code === 'FST_ERR_BAD_URL') return { status: 400, reason: 'http' }
  return { status: 500, reason: 'bug' }
}

function statusOf(problem: Problem): Refusal {
  if (problem.status === 503) return 503
  if (problem.status === 429) return 429
  return problem.status === 415 ? 415 : 400
}
