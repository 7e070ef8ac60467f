import formbody from '@fastify/formbody'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { asProblem } from '../../base/db.ts'
import type { Deps } from '../../base/deps.ts'
import { PROBLEMS, Problem, type ProblemCode } from '../../base/problem.ts'
import { codePage, deliverProfile, enrollmentPage, problemPage, type Page, type PushTopics } from '../../features/enrollment-profiles/index.ts'
import type { Authorities } from '../../features/identity/index.ts'
import { transportGuard } from '../device/gate.ts'
import { errorPage } from './error-page.ts'

export interface PageDoorParts {
  authorities: Authorities
  push: PushTopics
  /** Roots (DER) that a phone needs to trust this server; empty with a public certificate. */
  trustRoots: Buffer[]
}

const params = { type: 'object', properties: { code: { type: 'string', maxLength: 64 } }, required: ['code'] } as const

/** What people open on the phone: the page behind a link, the profile, and the help page of each error. No keys, no cookies, no scripts. */
export function pageDoor(deps: Deps, parts: PageDoorParts) {
  return async (app: FastifyInstance): Promise<void> => {
    const guard = transportGuard(deps)
    app.addHook('onRequest', async (request, reply) => {
      guard(request)
      reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' })
    })
    app.removeAllContentTypeParsers()
    await app.register(formbody, { bodyLimit: 1_024 })
    // The download button posts an empty form; whatever a body holds is not looked at.
    app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: 1_024 }, (_request, _body, done) => done(null, undefined))
    app.setErrorHandler((error, request, reply) => sorry(error, request, reply))

    app.get('/enroll', async (_request, reply) => show(reply, codePage(deps.config.organization)))

    // Nothing is looked up here: the page behind the code counts wrong ones.
    app.post<{ Body: { code?: unknown } | undefined }>('/enroll', async (request, reply) => {
      const typed = request.body?.code
      const code = typeof typed === 'string' ? typed.trim().slice(0, 40) : ''
      return reply.code(303).header('location', code === '' ? '/enroll' : `/e/${encodeURIComponent(code)}`).send('')
    })

    app.get<{ Params: { code: string } }>('/e/:code', { schema: { params } }, async (request, reply) =>
      show(reply, await enrollmentPage(deps, parts.push, request.params.code, request.ip)))

    app.route<{ Params: { code: string } }>({
      method: ['GET', 'POST'],
      url: '/e/:code/profile',
      schema: { params },
      handler: async (request, reply) => {
        // A HEAD (link previews, download managers) must not use up a one-time link.
        if (request.method === 'HEAD') return reply.code(405).header('allow', 'GET, POST').send('')
        const { profile, attemptId } = await deliverProfile(
          deps, parts.authorities, parts.push, request.params.code, request.ip, parts.trustRoots)
        deps.log.info({ door: 'page', requestId: request.id, attempt: attemptId, status: 200 }, 'enrollment profile delivered')
        return reply
          .type('application/x-apple-aspen-config')
          .header('content-disposition', 'attachment; filename="enroll.mobileconfig"')
          .send(profile)
      },
    })

    app.get<{ Params: { name: string } }>('/docs/errors/:name', async (request, reply) => {
      const code = request.params.name.replaceAll('-', '_')
      return show(reply, Object.hasOwn(PROBLEMS, code) ? errorPage(code as ProblemCode) : problemPage(deps.config.organization, new Problem('not_found')))
    })
  }

  function sorry(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const known = asProblem(error)
    const problem = known instanceof Problem ? known : new Problem('internal_error', undefined, { cause: error })
    const line = { door: 'page', route: request.routeOptions.url, requestId: request.id, status: problem.status, reason: problem.code }
    if (problem.code === 'internal_error') deps.log.error({ ...line, err: error }, 'a page met a bug')
    else deps.log.info(line, 'page refused')
    return show(reply, problemPage(deps.config.organization, problem))
  }
}

function show(reply: FastifyReply, page: Page): FastifyReply {
  if (page.retryAfterSeconds !== undefined) reply.header('retry-after', String(page.retryAfterSeconds))
  return reply.code(page.status).header('content-security-policy', page.csp).type('text/html; charset=utf-8').send(page.html)
}
