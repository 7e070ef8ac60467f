import type { Tx } from '../../base/db.ts'
import type { AttemptId, EnrollmentId, LinkId } from '../../base/ids.ts'
import { isPlain, type Ownership } from './store.ts'

/** How far an attempt came, in order: it only goes forward. */
export const ATTEMPT_STEPS = [
  'profile_delivered', 'identity_issued', 'authenticated', 'pending_approval', 'enrolled', 'rejected',
] as const
export type AttemptStep = (typeof ATTEMPT_STEPS)[number]

/** One delivery of an enrollment profile and what became of it. */
export interface Attempt {
  id: AttemptId
  linkId: LinkId | null
  /** Of the link. */
  ownership: Ownership | null
  step: AttemptStep
  profileIdentifier: string
  topic: string
  accessRights: number
  /** The device that the link was made for. */
  deviceKey: string | null
  enrollmentId: EnrollmentId | null
  /** CheckInURL of its profile. */
  checkinUrl: string | null
  remoteAddress: string | null
  createdAt: Date
  updatedAt: Date
}

export interface NewAttempt {
  id: AttemptId
  linkId: LinkId
  profileIdentifier: string
  topic: string
  accessRights: number
  deviceKey: string | null
  checkinUrl: string | null
  remoteAddress: string
}

const ATTEMPT = `a.id, a.link_id as "linkId", l.ownership, a.step, a.profile_identifier as "profileIdentifier", a.topic,
  a.access_rights as "accessRights", a.device_key as "deviceKey", a.enrollment_id::text as "enrollmentId",
  a.checkin_url as "checkinUrl", a.remote_address as "remoteAddress", a.created_at as "createdAt", a.updated_at as "updatedAt"`
const FROM = 'from enrollment_attempts a left join enrollment_links l on l.id = a.link_id'

const INSERT = {
  name: 'enrollment_attempts_insert',
  text: `insert into enrollment_attempts (id, link_id, step, profile_identifier, topic, access_rights, device_key,
      checkin_url, remote_address, created_at, updated_at)
    values ($1, $2, 'profile_delivered', $3, $4, $5, $6, $7, $8, $9, $9)`,
}

export async function insertAttempt(tx: Tx, attempt: NewAttempt, now: Date): Promise<void> {
  await tx.rows(INSERT, [
    attempt.id, attempt.linkId, attempt.profileIdentifier, attempt.topic, attempt.accessRights, attempt.deviceKey,
    attempt.checkinUrl, attempt.remoteAddress, now,
  ])
}

const FIND = { name: 'enrollment_attempts_find', text: `select ${ATTEMPT} ${FROM} where a.id = $1` }

export async function findAttempt(tx: Tx, id: string): Promise<Attempt | undefined> {
  const [row] = isPlain(id) ? await tx.rows<Attempt>(FIND, [id]) : []
  return row
}

const LIST = {
  name: 'enrollment_attempts_list',
  text: `select ${ATTEMPT} ${FROM}
    where ($1::text is null or a.id < $1) and ($2::text is null or a.link_id = $2) order by a.id desc limit $3`,
}

/** Newest first, after the attempt with the id `after`; of one link when `link` is given. */
export function listAttempts(
  tx: Tx, after: string | undefined, link: LinkId | undefined, limit: number,
): Promise<Attempt[]> {
  return tx.rows<Attempt>(LIST, [after ?? null, link ?? null, limit])
}

const MARK = { name: 'enrollment_attempts_mark', text: 'select mark_attempt($1, $2, $3)' }

/** Moves an attempt forward; one that is further already stays. */
export async function mark(
  tx: Tx, id: AttemptId, step: AttemptStep, enrollmentId: EnrollmentId | undefined,
): Promise<void> {
  await tx.rows(MARK, [id, step, enrollmentId ?? null])
}
