import type { Authenticate } from '../../apple/wire/checkin.ts'
import type { ChannelAddress } from '../../apple/wire/channel.ts'
import type { Tx } from '../../base/db.ts'
import { newId, type DeviceId, type EnrollmentId } from '../../base/ids.ts'
import type { Work } from '../../base/work.ts'
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

const UPSERT_DEVICE = {
  name: 'device_upsert',
  text: `insert into devices (id, device_key, device_key_kind, serial_number, name, platform, model, model_name, os_version, build, imei, meid,
      created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
    on conflict (device_key) do update set
      serial_number = coalesce(excluded.serial_number, devices.serial_number), name = coalesce(excluded.name, devices.name),
      platform = coalesce(excluded.platform, devices.platform), model = coalesce(excluded.model, devices.model),
      model_name = coalesce(excluded.model_name, devices.model_name), os_version = coalesce(excluded.os_version, devices.os_version),
      build = coalesce(excluded.build, devices.build), imei = coalesce(excluded.imei, devices.imei),
      meid = coalesce(excluded.meid, devices.meid), updated_at = excluded.updated_at
    returning id`,
}

/** Writes what Authenticate says of the hardware. The row stays locked: two newcomers for one device come one after the other. */
export async function upsertDevice(work: Work, m: Authenticate, platform: string | null): Promise<DeviceId> {
  const model = m.ProductName ?? m.Model ?? null
  const [row] = await work.tx.rows<{ id: DeviceId }>(UPSERT_DEVICE, [
    newId('dev'), m.channel.deviceKey, m.channel.deviceKeyKind, m.SerialNumber ?? null, m.DeviceName ?? null, platform, model, m.ModelName ?? null,
    m.OSVersion ?? null, m.BuildVersion ?? null, m.IMEI ?? null, m.MEID ?? null, work.now,
  ])
  if (!row) throw new Error('the device row was not written')
  return row.id
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

const EVER = { name: 'enrollment_ever', text: 'select 1 from enrollments where device_id = $1 limit 1' }

/** Whether any generation of this device is on record, ended ones too. */
export async function wasEverHere(tx: Tx, deviceId: DeviceId): Promise<boolean> {
  return (await tx.rows(EVER, [deviceId])).length > 0
}

const INSERT = {
  name: 'enrollment_insert',
  text: `insert into enrollments (device_id, channel, device_key, state, generation, certificate_sha256, attempt_id, topic, created_at)
    select $1, 'device', $2, $3, coalesce(max(generation), 0) + 1, $4, $5, $6, $7
      from enrollments where device_id = $1 and channel = 'device'
    returning id`,
}

/** A new generation of a device channel, bound to its certificate. */
export async function insertGeneration(
  work: Work, o: { deviceId: DeviceId; deviceKey: string; state: EnrollmentState; certificateSha256: Buffer; attemptId: string | null; topic: string },
): Promise<EnrollmentId> {
  const [row] = await work.tx.rows<{ id: EnrollmentId }>(INSERT, [
    o.deviceId, o.deviceKey, o.state, o.certificateSha256, o.attemptId, o.topic, work.now,
  ])
  if (!row) throw new Error('the enrollment row was not written')
  return row.id
}

const RESET = {
  name: 'enrollment_reset',
  text: `update enrollments set state = 'identity_issued', generation = generation + 1, topic = $2, push_token = null, push_magic = null,
      token_updated_at = null, push_stopped_at = null, push_trouble = null, sealed_unlock_token = null, sealed_bootstrap_token = null,
      awaiting_configuration = false, enrolled_at = null
    where id = $1`,
}

/** The same identity begins again: nothing that was entrusted before is served any more. */
export async function reset(tx: Tx, id: EnrollmentId, topic: string): Promise<void> {
  await tx.rows(RESET, [id, topic])
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

const END_USERS = {
  name: 'enrollment_end_users',
  text: `update enrollments set state = 'unenrolled', ended_at = $2, push_token = null, push_magic = null
    where parent_id = $1 and state = 'enrolled' returning id`,
}

/** Ends the user channels only: a device that authenticates again has none yet. */
export async function endUsers(work: Work, parent: EnrollmentId): Promise<EnrollmentId[]> {
  return (await work.tx.rows<{ id: EnrollmentId }>(END_USERS, [parent, work.now])).map((row) => row.id)
}

const PUSH_TARGET = {
  name: 'enrollment_push_target',
  text: `update enrollments set state = case when state = 'identity_issued' then 'enrolled' else state end, topic = $2, push_token = $3,
      push_magic = $4, token_updated_at = $5::timestamptz, push_stopped_at = null, push_trouble = null,
      sealed_unlock_token = coalesce($6, sealed_unlock_token), awaiting_configuration = awaiting_configuration or $7,
      enrolled_at = coalesce(enrolled_at, case when state <> 'pending_approval' then $5::timestamptz end)
    where id = $1`,
}

export interface PushTarget {
  topic: string
  token: Buffer
  pushMagic: string
  sealedUnlockToken: Buffer | null
  awaitingConfiguration: boolean
}

/**
 * Stores a TokenUpdate. What is absent keeps its old value: a missing UnlockToken or AwaitingConfiguration says nothing
 * (protocol.md 2.2).
 */
export async function setPushTarget(work: Work, id: EnrollmentId, target: PushTarget): Promise<void> {
  await work.tx.rows(PUSH_TARGET, [
    id, target.topic, target.token, target.pushMagic, work.now, target.sealedUnlockToken, target.awaitingConfiguration,
  ])
}

const UPSERT_USER = {
  name: 'enrollment_upsert_user',
  text: `insert into enrollments (device_id, channel, user_key, parent_id, device_key, state, generation, topic, created_at,
      user_short_name, user_long_name)
    select device_id, 'user', $2, id, device_key, 'identity_issued', generation, $3, $4, $5, $6 from enrollments where id = $1
    on conflict (parent_id, user_key) where channel = 'user' do update set
      state = case when enrollments.state = 'enrolled' then 'enrolled' else 'identity_issued' end,
      awaiting_configuration = enrollments.awaiting_configuration and enrollments.state = 'enrolled',
      enrolled_at = case when enrollments.state = 'enrolled' then enrollments.enrolled_at end,
      user_short_name = coalesce(excluded.user_short_name, enrollments.user_short_name),
      user_long_name = coalesce(excluded.user_long_name, enrollments.user_long_name), ended_at = null
    returning id, (select u.state from enrollments u where u.parent_id = $1 and u.user_key = $2 and u.channel = 'user') as before`,
}

/** The row of a user channel, made when it is new; `before` is its state until now. */
export async function upsertUser(
  work: Work, parent: EnrollmentId, channel: ChannelAddress, topic: string,
): Promise<{ id: EnrollmentId; before: EnrollmentState | null }> {
  const [row] = await work.tx.rows<{ id: EnrollmentId; before: EnrollmentState | null }>(UPSERT_USER, [
    parent, channel.userKey, topic, work.now, channel.userShortName ?? null, channel.userLongName ?? null,
  ])
  if (!row) throw new Error('the user channel was not written')
  return row
}

const ADOPT = { name: 'enrollment_adopt', text: 'update enrollments set certificate_sha256 = $2 where id = $1' }

/** From now on this certificate speaks for the enrollment. */
export async function adoptCertificate(tx: Tx, id: EnrollmentId, sha256: Buffer): Promise<void> {
  await tx.rows(ADOPT, [id, sha256])
}

const TERMS = {
  name: 'enrollment_terms',
  text: `with e as (update enrollments set access_rights = $2, link_id = $3 where id = $1 returning device_id)
    update devices d set simulated = $4, ownership = coalesce($5, ownership) from e where d.id = e.device_id`,
}

/** What the way in has settled: the rights the person agreed to, the link, whether this is a simulated device. */
export async function setTerms(
  tx: Tx, id: EnrollmentId, terms: { accessRights: number; linkId: string | null; simulated: boolean; ownership: string | null },
): Promise<void> {
  await tx.rows(TERMS, [id, terms.accessRights, terms.linkId, terms.simulated, terms.ownership])
}

const STATE = { name: 'enrollment_state', text: 'update enrollments set state = $2, enrolled_at = coalesce(enrolled_at, $3) where id = $1' }

/** Moves an enrollment on to another state. */
export async function setState(work: Work, id: EnrollmentId, state: EnrollmentState): Promise<void> {
  await work.tx.rows(STATE, [id, state, state === 'enrolled' ? work.now : null])
}
