import { z } from 'zod'
import type { ApiApp } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import { page, pageOf, pageQuery, readCursor } from '../../base/paging.ts'
import { Problem } from '../../base/problem.ts'
import { findAttempt, listAttempts } from './attempt-store.ts'
import { attemptShape, showAttempt } from './shape.ts'
import { find } from './store.ts'

const query = z.strictObject({
  ...pageQuery, link: z.string().max(64).optional().describe('Of this link only: id or slug'),
})
const params = z.strictObject({ attempt: z.string().max(64) })

/** Enrollment attempts: every delivered profile with the step it reached, so that one sees where people stop. */
export function registerEnrollmentAttempts(app: ApiApp, deps: Deps): void {
  app.get('/enrollments', {
    config: { scope: 'enrollment:read' },
    schema: {
      tags: ['Enrollment'], summary: 'List enrollment attempts, newest first', querystring: query,
      response: { 200: pageOf(attemptShape) },
    },
  }, async (request) => {
    const { limit, cursor } = request.query
    const link = await linkOf(deps, request.query.link)
    const list = `enrollments ${link ?? ''}`
    const rows = await listAttempts(deps.db.read, readCursor(deps.vault, list, cursor), link, limit + 1)
    return page(deps.vault, list, rows, limit, (attempt) => attempt.id, showAttempt)
  })

  app.get('/enrollments/:attempt', {
    config: { scope: 'enrollment:read' },
    schema: { tags: ['Enrollment'], summary: 'Read an enrollment attempt', params, response: { 200: attemptShape } },
  }, async (request) => {
    const attempt = await findAttempt(deps.db.read, request.params.attempt)
    if (!attempt) throw new Problem('not_found', 'There is no such enrollment attempt.')
    return showAttempt(attempt)
  })
}

async function linkOf(deps: Deps, reference: string | undefined) {
  if (reference === undefined) return undefined
  const link = await find(deps.db.read, reference)
  if (!link) throw new Problem('not_found', 'There is no such enrollment link.')
  return link.id
}
