import type { PushAnswer } from '../../apple/cloud/apns.ts'
import type { Tx } from '../../base/db.ts'
import type { DeviceId, EnrollmentId } from '../../base/ids.ts'
import type { Work } from '../../base/work.ts'
import type { Claim } from './wakes.ts'

const INSERT = {
  name: 'push_insert',
  text: 'insert into pushes (enrollment_id, at, outcome, status, reason, apns_id) values ($1, $2, $3, $4, $5, $6)',
}

/** Keeps what Apple answered. */
export async function insertPush(work: Work, claimed: Claim, answer: PushAnswer): Promise<void> {
  const refused = answer.outcome === 'refused' ? answer : undefined
  const apnsId = answer.outcome === 'unreachable' ? null : (answer.apnsId ?? null)
  const reason = answer.outcome === 'unreachable' ? answer.detail : (refused?.reason ?? null)
  await work.tx.rows(INSERT, [claimed.enrollment_id, work.now, answer.outcome, refused?.status ?? null, reason, apnsId])
}

const STOP = {
  name: 'push_stop',
  text: `with stopped as (
      update enrollments set push_stopped_at = $3, push_trouble = $4
      where id = $1 and token_updated_at = $2 returning id)
    delete from push_wakes w using stopped where w.enrollment_id = stopped.id returning w.enrollment_id`,
}

/** No more pushes to this token; a TokenUpdate that came meanwhile has a newer one, and then nothing is stopped. */
export async function stopPushing(work: Work, claimed: Claim, reason: string): Promise<void> {
  const stopped = await work.tx.rows(STOP, [claimed.enrollment_id, claimed.token_updated_at, work.now, reason])
  if (stopped.length === 0) return
  await work.emit({ type: 'device.unreachable', device: claimed.device_id as DeviceId, enrollment: claimed.enrollment_id, reason })
}

export interface PushFact {
  at: Date
  outcome: string
  reason: string | null
  apns_id: string | null
}

const BETWEEN = {
  name: 'pushes_between',
  text: `select at, outcome, reason, apns_id from pushes where enrollment_id = $1 and at >= $2 and at <= coalesce($3, now())
    order by at limit 50`,
}

/** The pushes to a channel within a time, oldest first, 50 at most: for a command's timeline. */
export async function pushesBetween(tx: Tx, enrollment: EnrollmentId, from: Date, to: Date | null): Promise<PushFact[]> {
  return tx.rows<PushFact>(BETWEEN, [enrollment, from, to])
}
