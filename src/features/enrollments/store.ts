import type { Authenticate, TokenUpdate } from '../../apple/wire/checkin.ts'
import type { Tx } from '../../base/db.ts'
import type { EndReason } from '../../base/events.ts'
import { newId, type DeviceId, type EnrollmentId } from '../../base/ids.ts'
import { actorName, type Work } from '../../base/work.ts'
import { platformOf } from './platform.ts'
import type { EnrollmentState } from './tables.ts'

/** An enrollment row under its lock. */
export interface Locked {
  id: EnrollmentId
  device_id: DeviceId
  state: EnrollmentState
  generation: number
  certificate_sha256: Buffer | null
  attempt_id: string | null
  access_rights: number | null
  channel: 'device' | 'user'
}

const LOCKED = 'id, device_id, state, generation, certificate_sha256, attempt_id, access_rights, channel'

const LOCK = { name: 'enrollment_lock', text: `select ${LOCKED} from enrollments where id = $1 for update` }
const LOCK_ALL = { name: 'enrollment_lock_all', text: `select ${LOCKED} from enrollments where id = any($1) order by id for update` }

/** Takes the device's mutex. `for update`, not less: it must conflict with the foreign-key lock of an insert into the queue. */
export async function lock(tx: Tx, id: EnrollmentId): Promise<Locked> {
  const [row] = await tx.rows<Locked>(LOCK, [id])
  if (!row) throw new Error('an enrollment row is gone')
  return row
}

/** The mutexes of several devices, ids ascending, so that two callers cannot wait for each other. */
export async function lockAll(tx: Tx, ids: EnrollmentId[]): Promise<Locked[]> {
  return tx.rows<Locked>(LOCK_ALL, [ids])
}

/** What an event tells of a certificate that another server's CA issued. */
export interface Adopted {
  serial_number: string
  issuer: string
  sha256: string
}

/** How an enrollment begins: a row of its own, perhaps in the place of another one, or the same identity again. */
export interface Beginning {
  state: 'identity_issued' | 'pending_approval'
  replaces?: EnrollmentId | undefined
  again?: EnrollmentId
  adopted?: Adopted
}

const BEGIN = { name: 'begin_enrollment', text: 'select begin_enrollment($1, $2, $3, $4, $5, $6, $7, $8, $9) as id' }

/** Writes an Authenticate, as judged, with all that follows from it: one statement (migrations: begin_enrollment). */
export async function begin(
  work: Work, m: Authenticate, speaker: { certificateSha256: Buffer | null; attemptId: string | null }, how: Beginning,
): Promise<EnrollmentId> {
  const [row] = await work.tx.rows<{ id: EnrollmentId }>(BEGIN, [
    JSON.stringify(hardwareOf(m)), how.again ?? null, how.replaces ?? null, how.state, speaker.certificateSha256, speaker.attemptId, m.Topic,
    how.adopted ? JSON.stringify(how.adopted) : null, actorName(work.actor),
  ])
  if (!row) throw new Error('the enrollment row was not written')
  return row.id
}

/** What Authenticate says of the hardware, by the columns of `devices`, with an id in case it is new. */
function hardwareOf(m: Authenticate): Record<string, string | null | undefined> {
  const model = m.ProductName ?? m.Model
  return {
    id: newId('dev'), device_key: m.channel.deviceKey, device_key_kind: m.channel.deviceKeyKind, serial_number: m.SerialNumber, name: m.DeviceName,
    platform: platformOf(model), model, model_name: m.ModelName, os_version: m.OSVersion, build: m.BuildVersion, imei: m.IMEI, meid: m.MEID,
  }
}

const CURRENT = {
  name: 'enrollment_current',
  text: `select e.id, e.state, coalesce(s.last_seen_at, e.created_at) < now() - interval '30 days' as silent,
      c.revoked_at is not null as revoked
    from enrollments e
    left join enrollment_sightings s on s.enrollment_id = e.id
    left join certificates c on c.sha256 = e.certificate_sha256
    where e.device_id = $1 and e.channel = 'device' and e.state in ('identity_issued', 'enrolled', 'blocked')
    for update of e`,
}

/** The generation that speaks for a device now, if any, under its lock. */
export async function findCurrent(
  tx: Tx, deviceId: DeviceId,
): Promise<{ id: EnrollmentId; state: EnrollmentState; silent: boolean; revoked: boolean } | undefined> {
  return (await tx.rows<{ id: EnrollmentId; state: EnrollmentState; silent: boolean; revoked: boolean }>(CURRENT, [deviceId]))[0]
}

const END = {
  name: 'enrollment_end',
  text: `update enrollments set state = $2, ended_at = $3, push_token = null, push_magic = null, push_stopped_at = null, push_trouble = null
    where (id = $1 or parent_id = $1) and state in ('identity_issued', 'pending_approval', 'enrolled', 'blocked') returning id`,
}

/** Ends a channel, with its user channels when it is the device's; returns the rows that ended. */
export async function end(work: Work, id: EnrollmentId, state: 'unenrolled' | 'erased'): Promise<EnrollmentId[]> {
  return (await work.tx.rows<{ id: EnrollmentId }>(END, [id, state, work.now])).map((row) => row.id)
}

const END_CHANNELS = { name: 'end_channels', text: `select end_channels($1, 'unenrolled', $2, $3)` }

/**
 * Ends a channel with its user channels: their commands end, their wakes go, and each has its event. The caller holds the row. One that has
 * ended stays as it is.
 */
export async function endChannels(work: Work, id: EnrollmentId, reason: EndReason): Promise<void> {
  await work.tx.rows(END_CHANNELS, [id, reason, actorName(work.actor)])
}

/** A phone that has just enrolled needs a moment before its token works (product/api.md, Diagnosis). */
const FIRST_PUSH_SECONDS = 3

const UPDATE_TOKEN = { name: 'update_token', text: 'select update_token($1, $2, $3, $4, $5, $6, $7, $8, $9) as woken' }

/** Writes a TokenUpdate of a device or of one of its users, with all that follows from it: one statement (migrations: update_token). Returns whether a push is due now. */
export async function updateToken(work: Work, device: EnrollmentId, m: TokenUpdate, sealedUnlockToken: Buffer | null): Promise<boolean> {
  const { channel, userKey, userShortName, userLongName } = m.channel
  const user = channel === 'user' ? JSON.stringify({ key: userKey, short_name: userShortName, long_name: userLongName }) : null
  const [row] = await work.tx.rows<{ woken: boolean }>(UPDATE_TOKEN, [
    device, actorName(work.actor), user, m.Topic, m.Token, m.PushMagic, sealedUnlockToken, m.AwaitingConfiguration ?? false, FIRST_PUSH_SECONDS,
  ])
  return row?.woken ?? false
}

const ADOPT = { name: 'enrollment_adopt', text: 'update enrollments set certificate_sha256 = $2 where id = $1' }

/** From now on this certificate speaks for the enrollment. */
export async function adoptCertificate(tx: Tx, id: EnrollmentId, sha256: Buffer): Promise<void> {
  await tx.rows(ADOPT, [id, sha256])
}

const OPEN_RENEWAL = { name: 'enrollment_open_renewal', text: 'update enrollments set renewal_open = true where id = $1' }

/** A renewed identity has said Authenticate; its TokenUpdate is due. */
export async function openRenewal(tx: Tx, id: EnrollmentId): Promise<undefined> {
  await tx.rows(OPEN_RENEWAL, [id])
}

const STATE = { name: 'enrollment_state', text: 'update enrollments set state = $2, enrolled_at = coalesce(enrolled_at, $3) where id = $1' }

/** Moves an enrollment on to another state. */
export async function setState(work: Work, id: EnrollmentId, state: EnrollmentState): Promise<void> {
  await work.tx.rows(STATE, [id, state, state === 'enrolled' ? work.now : null])
}
