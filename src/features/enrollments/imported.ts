import type { Tx } from '../../base/db.ts'
import type { DeviceId, EnrollmentId } from '../../base/ids.ts'
import type { Work } from '../../base/work.ts'
import type { EnrollmentState } from './tables.ts'

/** A generation of a device that has not ended. */
export interface Imported {
  id: EnrollmentId
  device_id: DeviceId
  state: EnrollmentState
  /** It came through /migration, and the device has not begun again since. */
  imported: boolean
  /** And nobody has spoken for it: there is no certificate. */
  unclaimed: boolean
  has_bootstrap_token: boolean
}

const STANDING = {
  name: 'enrollments_standing',
  text: `select id, device_id, state, imported_at is not null as imported, imported_at is not null and certificate_sha256 is null as unclaimed,
      sealed_bootstrap_token is not null as has_bootstrap_token
    from enrollments where device_id = (select id from devices where device_key = $1) and channel = 'device'
      and state in ('identity_issued', 'pending_approval', 'enrolled', 'blocked')
    order by id for update`,
}

/** The generations of a device that stand, held newcomers too, under their locks. */
export async function findStanding(tx: Tx, deviceKey: string): Promise<Imported[]> {
  return tx.rows<Imported>(STANDING, [deviceKey])
}

const LOCK_NEWCOMERS = { name: 'lock_newcomers', text: 'select lock_newcomers($1)' }

/** Newcomers for one device come one after the other. */
export async function lockNewcomers(tx: Tx, deviceKey: string): Promise<void> {
  await tx.rows(LOCK_NEWCOMERS, [deviceKey])
}

const MARK = { name: 'enrollment_imported', text: 'update enrollments set imported_at = $2 where id = $1 returning device_id' }

/** From now on the window runs in which the device may show its certificate. Returns the device. */
export async function mark(work: Work, id: EnrollmentId): Promise<DeviceId> {
  const [row] = await work.tx.rows<{ device_id: DeviceId }>(MARK, [id, work.now])
  if (!row) throw new Error('an enrollment row is gone')
  return row.device_id
}

const USER = { name: 'enrollment_user', text: `select id, state from enrollments where parent_id = $1 and user_key = $2 and channel = 'user'` }

/** A user's channel of a device, whatever its state. */
export async function findUser(tx: Tx, device: EnrollmentId, userKey: string): Promise<EnrollmentId | undefined> {
  return (await tx.rows<{ id: EnrollmentId }>(USER, [device, userKey]))[0]?.id
}

/** Whether a user's channel is enrolled. */
export async function hasUser(tx: Tx, device: EnrollmentId, userKey: string): Promise<boolean> {
  return (await tx.rows<{ state: EnrollmentState }>(USER, [device, userKey]))[0]?.state === 'enrolled'
}

export interface Claimable {
  id: EnrollmentId
  device_id: DeviceId
  certificate_sha256: Buffer | null
}

const CLAIMABLE = {
  name: 'enrollment_claimable',
  text: `select id, device_id, certificate_sha256 from enrollments
    where device_id = (select id from devices where device_key = $1) and channel = 'device' and state in ('identity_issued', 'enrolled')
      and imported_at > now() - make_interval(secs => $2)
    for update`,
}

/** The enrollment that was imported for a device within this time, under its lock. */
export async function findClaimable(tx: Tx, deviceKey: string, withinSeconds: number): Promise<Claimable | undefined> {
  return (await tx.rows<Claimable>(CLAIMABLE, [deviceKey, withinSeconds]))[0]
}
