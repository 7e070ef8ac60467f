import type { FastifyReply, FastifyRequest } from 'fastify'
import { ResponseSerializationError } from 'fastify-type-provider-zod'
import { asProblem, sqlState } from '../../base/db.ts'
import type { Deps } from '../../base/deps.ts'
import { PROBLEMS, Problem, type ProblemCode } from '../../base/problem.ts'
import type { RouteBook } from './routes.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Why this request was refused, for its log line. */
    refusedAs?: ProblemCode
  }
}

/**
 * The only place where an error becomes an answer of the admin door. Also fit to be the `frameworkErrors` of the
 * server, for URLs that no route gets to see.
 */
export function speak(deps: Deps) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const problem = problemOf(error)
    if (problem.status >= 500) logFault(deps, problem, request)
    request.refusedAs = problem.code
    if (problem.status === 401) reply.header('www-authenticate', 'Bearer realm="bramley"')
    const { retryAfterSeconds } = problem.options
    if (retryAfterSeconds !== undefined) reply.header('retry-after', String(retryAfterSeconds))
    // As text: a response schema of the route must not take members away.
    const text = JSON.stringify(documentOf(deps, problem, request))
    void reply.code(problem.status).type('application/problem+json').send(text)
  }
}

/** 405 where the path exists for another method, else 404. */
export function speakOfMissing(book: RouteBook) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<never> => {
    const allowed = book.methodsOf(pathOf(request))
    if (allowed.length === 0) throw new Problem('not_found')
    reply.header('allow', allowed.join(', '))
    throw new Problem('method_not_allowed', `Allowed here: ${allowed.join(', ')}.`)
  }
}

/**
 * The problem document of RFC 9457 with the members of our API: code, hint, request_id, errors and the problem's own.
 */
function documentOf(deps: Deps, problem: Problem, request: FastifyRequest): Record<string, unknown> {
  const [status, title, hint] = PROBLEMS[problem.code]
  const { errors, extra } = problem.options
  return {
    type: new URL(`/docs/errors/${problem.code.replaceAll('_', '-')}`, deps.config.publicUrl).href,
    code: problem.code,
    title,
    status,
    detail: problem.detail ?? title,
    hint,
    instance: pathOf(request),
    request_id: request.id,
    ...(errors && { errors }),
    ...extra,
  }
}

const FRAMEWORK: Record<string, ProblemCode> = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'malformed_json',
  FST_ERR_CTP_BODY_TOO_LARGE: 'too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_content',
  FST_ERR_MAX_PARAM_LENGTH: 'not_found', // no id of ours has more than 100 characters
}

/**
 * Whatever the client sent that made Fastify or Node refuse is 4xx; everything else that is no Problem is our mistake.
 */
function problemOf(thrown: unknown): Problem {
  const error = asProblem(thrown)
  if (error instanceof Problem) return error
  const { code, statusCode } = error as { code?: unknown; statusCode?: unknown }
  const known = typeof code === 'string' ? FRAMEWORK[code] : undefined
  if (known) return new Problem(known, undefined, { cause: error })
  const theirs = typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500
  return new Problem(theirs ? 'malformed_request' : 'internal_error', undefined, { cause: error })
}

function logFault(deps: Deps, problem: Problem, request: FastifyRequest): void {
  const route = `${request.method} ${request.routeOptions.url ?? 'unmatched'}`
  const line = { door: 'admin', requestId: request.id, route, reason: problem.code }
  if (problem.code === 'internal_error') deps.log.error({ ...line, ...traceOf(problem.cause) }, 'a request met a bug')
  else deps.log.warn({ ...line, said: sqlState(problem.cause) }, 'a request could not be answered')
}

/** The stack without values: a message of Drizzle quotes the parameters of its query, which may be secrets. */
function traceOf(error: unknown): { stack: string; query?: string; findings?: unknown } {
  if (!(error instanceof Error)) return { stack: 'something other than an Error was thrown' }
  if ('query' in error && typeof error.query === 'string') return { ...traceOf(error.cause), query: error.query }
  const stack = error.stack ?? error.message
  if (!(error instanceof ResponseSerializationError)) return { stack }
  return { stack, findings: error.cause.issues.map(({ path, code }) => ({ path: path.join('.'), code })) }
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? ''
}
