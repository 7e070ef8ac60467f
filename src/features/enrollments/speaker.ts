import type { ChannelAddress } from '../../apple/wire/channel.ts'
import type { Tx } from '../../base/db.ts'
import type { DeviceId, EnrollmentId } from '../../base/ids.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import type { EnrollmentState } from './tables.ts'

/** Who presents a certificate: what we know of it and of the rows it speaks for, which stay locked for the unit of work. */
export interface Speaker {
  certificateSha256: Buffer
  attemptId: string | null
  /** The device that the certificate's challenge was made for, when it was made for one. */
  boundDeviceKey: string | null
  purpose: 'enrollment' | 'renewal'
  /** The device channel that the certificate is bound to; undefined before Authenticate. */
  device: Bound | undefined
  /** The user channel named in the message, when there is one. */
  user: { id: EnrollmentId; state: EnrollmentState } | undefined
  /** Whether we hold a push certificate of the message's topic, and whether we hold any; false when it names none. */
  topic: { known: boolean; any: boolean }
  /** Since when the channel that speaks is enrolled. */
  since: Date
  /** What that channel reported of itself so far, when it was asked for. */
  declared: Record<string, unknown> | null
  /** Before Authenticate: the device of that name, if it was ever here, and the generation that speaks for it now. */
  known: { deviceId: DeviceId | undefined; present: Present | undefined }
}

export interface Bound {
  id: EnrollmentId
  deviceId: DeviceId
  state: EnrollmentState
  generation: number
  /** It has renewed its identity and owes a TokenUpdate. */
  renewalOpen: boolean
  /** Whether this certificate is the one that speaks for the enrollment now; a renewed one is not until it is first used. */
  current: boolean
}

export interface Present {
  id: EnrollmentId
  state: EnrollmentState
  /** Not seen for 30 days. */
  silent: boolean
  /** Its certificate is. */
  revoked: boolean
}

interface Row {
  refusal: string | null
  attempt_id: string | null
  bound_device_key: string | null
  purpose: 'enrollment' | 'renewal'
  enrollment_id: EnrollmentId | null
  device_id: DeviceId
  state: EnrollmentState
  generation: number
  renewal_open: boolean
  is_current: boolean
  user_id: EnrollmentId | null
  user_state: EnrollmentState
  since: Date
  declared: Record<string, unknown> | null
  topic_known: boolean | null
  any_topic: boolean | null
  known_device_id: DeviceId | null
  present_id: EnrollmentId | null
  present_state: EnrollmentState
  present_silent: boolean
  present_revoked: boolean
}

const WHO = {
  name: 'device_speaker',
  text: `select s.*, case when $5 then declared_items(coalesce(s.user_id, s.enrollment_id)) end as declared
    from device_speaker($1, $2, $3, $4) s`,
}

/** What else to tell of the speaker in the same statement. */
export interface AlsoAsked {
  topic?: string | undefined
  declared?: boolean
}

/**
 * Finds who presents this certificate and whether the message speaks for that device, and locks what it speaks for (one
 * statement, migrations: device_speaker). The binding is the SHA-256 of the certificate, never a name in it. Throws
 * DeviceRefused for an unknown or revoked certificate, or another device's identifiers.
 */
export async function findSpeaker(tx: Tx, certificateSha256: Buffer, channel: ChannelAddress, also: AlsoAsked = {}): Promise<Speaker> {
  const [row] = await tx.rows<Row>(WHO, [certificateSha256, channel.deviceKey, channel.userKey, also.topic ?? null, also.declared ?? false])
  if (!row) throw new Error('nobody told who speaks')
  if (row.refusal !== null) throw new DeviceRefused(row.refusal)
  return {
    certificateSha256,
    attemptId: row.attempt_id,
    boundDeviceKey: row.bound_device_key,
    purpose: row.purpose,
    device: boundOf(row),
    user: row.user_id === null ? undefined : { id: row.user_id, state: row.user_state },
    since: row.since,
    declared: row.declared,
    topic: { known: row.topic_known ?? false, any: row.any_topic ?? false },
    known: { deviceId: row.known_device_id ?? undefined, present: presentOf(row) },
  }
}

function boundOf(row: Row): Bound | undefined {
  if (row.enrollment_id === null) return undefined
  return { id: row.enrollment_id, deviceId: row.device_id, state: row.state, generation: row.generation, renewalOpen: row.renewal_open, current: row.is_current }
}

function presentOf(row: Row): Present | undefined {
  if (row.present_id === null) return undefined
  return { id: row.present_id, state: row.present_state, silent: row.present_silent, revoked: row.present_revoked }
}

/** The speaker's bound device channel; throws DeviceRefused when the certificate has not said Authenticate yet. */
export function boundDevice(speaker: Speaker): Bound {
  if (!speaker.device) throw new DeviceRefused('not_enrolled')
  return speaker.device
}
