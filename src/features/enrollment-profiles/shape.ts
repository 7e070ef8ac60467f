import { z } from 'zod'
import type { Tx } from '../../base/db.ts'
import type { Deps } from '../../base/deps.ts'
import type { Attempt } from './attempt-store.ts'
import { ATTEMPT_STEPS } from './attempt-store.ts'
import { stateOf } from './open-link.ts'
import type { PushTopics } from './push-topics.ts'
import { openSecrets, showCode } from './secrets.ts'
import type { Link } from './store.ts'

const at = z.iso.datetime()

export const linkShape = z.object({
  id: z.string(),
  slug: z.string(),
  name: z.string(),
  state: z.enum(['active', 'used_up', 'expired', 'revoked']),
  code: z.string().nullable().describe('To be typed; null when its time is over'),
  code_expires_at: at.describe('72 hours after the link was made at most'),
  url: z.url(),
  ownership: z.enum(['company', 'personal']),
  sign_in: z.literal('none'),
  max_uses: z.int().nullable().describe('null = no limit'),
  uses: z.int(),
  expires_at: at.nullable(),
  access_rights: z.int(),
  removable_by_user: z.boolean().describe('Has an effect on supervised devices only'),
  device_key: z.string().nullable().describe('The device (UDID) that this link is made for'),
  separate_checkin: z.boolean().describe('Whether check-in messages go to an address of their own (BRAMLEY_CHECKIN_URL)'),
  ready: z.boolean().describe('Whether a profile can be delivered at this moment'),
  not_ready_reason: z.enum(['no_push_certificate', 'no_checkin_url']).nullable(),
  created_at: at,
}).meta({ id: 'EnrollmentLink' })

export const attemptShape = z.object({
  id: z.string(),
  link: z.string().nullable(),
  step: z.enum(ATTEMPT_STEPS).describe('How far the device came'),
  access_rights: z.int(),
  push_topic: z.string(),
  device_key: z.string().nullable().describe('The device (UDID) that the link was made for'),
  checkin_url: z.url().nullable().describe('CheckInURL of the profile; null = check-in messages go where reports go'),
  remote_address: z.string().nullable().describe('Where the profile was fetched from'),
  created_at: at,
  updated_at: at,
}).meta({ id: 'EnrollmentAttempt' })

/** A function that shows links as the API does; asks for the push topic once. */
export async function linkShower(
  tx: Tx, deps: Deps, push: PushTopics,
): Promise<(link: Link) => z.output<typeof linkShape>> {
  const pushable = (await push.defaultTopic(tx)) !== undefined
  return (link) => showLink(deps, link, pushable)
}

function showLink(deps: Deps, link: Link, pushable: boolean): z.output<typeof linkShape> {
  const lacks = whatLacks(deps, link, pushable)
  const { token, code } = openSecrets(deps.vault, link.id, link.sealedSecrets)
  return {
    id: link.id,
    slug: link.slug,
    name: link.name,
    state: stateOf(link),
    code: link.codeExpired ? null : showCode(code),
    code_expires_at: link.codeExpiresAt.toISOString(),
    url: new URL(`/e/${token}`, deps.config.publicUrl).href,
    ownership: link.ownership,
    sign_in: 'none',
    max_uses: link.maxUses,
    uses: link.uses,
    expires_at: link.expiresAt?.toISOString() ?? null,
    access_rights: link.accessRights,
    removable_by_user: link.removableByUser,
    device_key: link.deviceKey,
    separate_checkin: link.separateCheckin,
    ready: lacks === null,
    not_ready_reason: lacks,
    created_at: link.createdAt.toISOString(),
  }
}

function whatLacks({ config }: Deps, link: Link, pushable: boolean): z.output<typeof linkShape>['not_ready_reason'] {
  if (!pushable) return 'no_push_certificate'
  return link.separateCheckin && !config.checkinUrl ? 'no_checkin_url' : null
}

export function showAttempt(attempt: Attempt): z.output<typeof attemptShape> {
  return {
    id: attempt.id,
    link: attempt.linkId,
    step: attempt.step,
    access_rights: attempt.accessRights,
    push_topic: attempt.topic,
    device_key: attempt.deviceKey,
    checkin_url: attempt.checkinUrl,
    remote_address: attempt.remoteAddress,
    created_at: attempt.createdAt.toISOString(),
    updated_at: attempt.updatedAt.toISOString(),
  }
}
