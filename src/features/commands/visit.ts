import type { ChannelAddress } from '../../apple/wire/channel.ts'
import type { Db } from '../../base/db.ts'
import { newId, type CommandId, type EnrollmentId } from '../../base/ids.ts'
import { retried } from '../../base/work.ts'
import type { WebhookRow } from '../webhook/index.ts'

/** What one read tells about an Idle poll. */
export interface Glance {
  enrollment: EnrollmentId
  /** True when nothing waits, nothing is to be recorded, and the speaker is plainly who it claims to be. */
  quiet: boolean
}

const GLANCE = {
  name: 'visit_glance',
  text: `select e.id,
      c.revoked_at is null and e.certificate_sha256 = c.sha256 and e.device_key = $2 and e.state = 'enrolled' as known,
      exists (select from commands q where q.enrollment_id = e.id) as waiting,
      exists (select from push_wakes w where w.enrollment_id = e.id) as awaited
    from certificates c join enrollments e on e.id = c.enrollment_id
    where c.sha256 = $1`,
}

/**
 * The whole of a poll with nothing to do, as one read-only statement without a lock. Whatever is not plainly quiet is
 * looked at again under the lock; so this may be stale, but never wrong in the device's disfavour for longer than one push.
 */
export async function glance(db: Db, certificateSha256: Buffer, deviceKey: string): Promise<Glance | undefined> {
  const [row] = await db.read.rows<{ id: EnrollmentId; known: boolean; waiting: boolean; awaited: boolean }>(GLANCE, [certificateSha256, deviceKey])
  return row && { enrollment: row.id, quiet: row.known && !row.waiting && !row.awaited }
}

/** What a report says of its command; undefined for Idle. JSON as text. */
export interface Outcome {
  outcome: 'not_now' | 'acknowledged' | 'error' | 'format_error'
  uuid: string
  errorChain?: string | undefined
  fields?: string
  sealedRaw?: Buffer
}

/** Who visits, with what. */
export interface Visitor {
  certificateSha256: Buffer
  channel: ChannelAddress
  outcome: Outcome | undefined
  /** The RequestTypes whose answers are worth an errand. */
  telling: readonly string[]
  /** What the webhook will tell of it. */
  event: WebhookRow | undefined
}

/** What a visit came to: why it is refused, or what happened and what to hand out. */
export interface Visit {
  refusal: string | null
  enrollment_id: EnrollmentId | null
  /** The report fitted no open command. */
  ignored: boolean | null
  ended_id: CommandId | null
  ended_type: string | null
  left_errand: boolean | null
  /** The answer would have been more than a device may fill our disk with. */
  not_kept: boolean | null
  command_id: CommandId | null
  request_type: string | null
  body_id: number
  sealed_body: Buffer
}

const VISIT = { name: 'device_visit', text: 'select * from device_visit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)' }

const PATIENCE_MINUTES = [15, 60, 360, 1_440] // security-guide 32: 15 min, 1 h, 6 h, then daily

/** One visit as one statement and one transaction, under the lock of the enrollment row (migrations: device_visit). */
export async function visit(db: Db, { certificateSha256, channel, outcome: o, telling, event }: Visitor): Promise<Visit> {
  const [row] = await retried(() => db.read.rows<Visit>(VISIT, [
    certificateSha256, channel.deviceKey, channel.userKey, o?.outcome ?? null, o?.uuid ?? null, o?.errorChain ?? null, o?.fields ?? null,
    o?.sealedRaw ?? null, telling, PATIENCE_MINUTES, [newId('evt'), newId('evt')],
    event?.id ?? null, event?.sealedBody ?? null,
  ]))
  if (!row) throw new Error('the visit was not answered')
  return row
}
