import { z } from 'zod'
import { change, type ApiApp } from '../../base/api.ts'
import type { Tx } from '../../base/db.ts'
import type { Deps } from '../../base/deps.ts'
import { page, pageOf, pageQuery, readCursor } from '../../base/paging.ts'
import { Problem } from '../../base/problem.ts'
import type { Work } from '../../base/work.ts'
import { DURATION, expiryOf } from './expiry.ts'
import { createLink, revokeLink, type LinkInput } from './links.ts'
import type { PushTopics } from './push-topics.ts'
import { linkShape, linkShower } from './shape.ts'
import * as store from './store.ts'
import type { Link } from './store.ts'

const LIST = 'enrollment-links'
const params = z.strictObject({ link: z.string().max(64).describe('id or slug') })

const body = z.strictObject({
  name: z.string().trim().min(1).max(100).regex(/^\P{Cc}*$/u, 'must not hold control characters'),
  slug: z.string().regex(/^[a-z0-9-]{1,63}$/).optional().describe('Made from the name when left out'),
  max_uses: z.int().min(1).max(1_000_000).nullable().default(null).describe('null = no limit'),
  expires_in: z.string().regex(DURATION).optional().describe('90s, 15m, 72h or 7d'),
  expires_at: z.iso.datetime({ offset: true }).nullable().optional(),
  ownership: z.enum(['company', 'personal']).default('company'),
  access_rights: z.int().optional().describe("Sum of Apple's rights; left out: all, on personal devices but erase"),
  removable_by_user: z.boolean().default(true).describe('Has an effect on supervised devices only'),
  separate_checkin: z.boolean().default(false).describe('Check-in messages go to BRAMLEY_CHECKIN_URL; a device keeps that for ever'),
  device: z.string().regex(/^[A-Za-z0-9-]{8,64}$/).nullable().default(null).describe('UDID: for this one device only'),
})

/** Enrollment links: list, make, read, revoke. */
export function registerEnrollmentLinks(app: ApiApp, deps: Deps, parts: { push: PushTopics }): void {
  app.get('/enrollment-links', {
    config: { scope: 'enrollment:read' },
    schema: {
      tags: ['Enrollment'], summary: 'List enrollment links, newest first', querystring: z.strictObject(pageQuery),
      response: { 200: pageOf(linkShape) },
    },
  }, async (request) => {
    const { limit, cursor } = request.query
    const rows = await store.list(deps.db.read, readCursor(deps.vault, LIST, cursor), limit + 1)
    return page(deps.vault, LIST, rows, limit, (link) => link.id, await linkShower(deps.db.read, deps, parts.push))
  })

  app.post('/enrollment-links', {
    config: { scope: 'enrollment:write' },
    schema: { tags: ['Enrollment'], summary: 'Make an enrollment link', body, response: { 201: linkShape } },
  }, async (request, reply) => change(deps, request, reply, 201, async (work) => {
    const show = await linkShower(work.tx, deps, parts.push)
    return show(await createLink(work, deps, inputOf(work, request.body)))
  }))

  app.get('/enrollment-links/:link', {
    config: { scope: 'enrollment:read' },
    schema: { tags: ['Enrollment'], summary: 'Read an enrollment link', params, response: { 200: linkShape } },
  }, async (request) => {
    const show = await linkShower(deps.db.read, deps, parts.push)
    return show(await getLink(deps.db.read, request.params.link))
  })

  app.post('/enrollment-links/:link/revoke', {
    config: { scope: 'enrollment:write' },
    schema: {
      tags: ['Enrollment'], summary: 'Revoke an enrollment link; enrolled devices stay', params,
      response: { 200: linkShape },
    },
  }, async (request, reply) => change(deps, request, reply, 200, async (work) => {
    await revokeLink(work, await getLink(work.tx, request.params.link))
    const show = await linkShower(work.tx, deps, parts.push)
    return show(await getLink(work.tx, request.params.link))
  }))
}

function inputOf(work: Work, given: z.output<typeof body>): LinkInput {
  const { name, slug, ownership } = given
  return {
    name, slug, ownership,
    maxUses: given.max_uses,
    expiresAt: expiryOf(work.now, given),
    accessRights: given.access_rights,
    removableByUser: given.removable_by_user,
    deviceKey: given.device,
    separateCheckin: given.separate_checkin,
  }
}

async function getLink(tx: Tx, reference: string): Promise<Link> {
  const link = await store.find(tx, reference)
  if (!link) throw new Problem('not_found', 'There is no such enrollment link.')
  return link
}
