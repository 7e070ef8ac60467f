import type { ChannelAddress } from '../../apple/wire/channel.ts'
import type { Tx } from '../../base/db.ts'
import type { DeviceId, EnrollmentId } from '../../base/ids.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import type { EnrollmentState } from './tables.ts'

/** Who presents a certificate: what we know of it and of the enrollment it is bound to. */
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
}

export interface Bound {
  id: EnrollmentId
  deviceId: DeviceId
  deviceKey: string
  state: EnrollmentState
  /** Whether this certificate is the one that speaks for the enrollment now; a renewed one is not until it is first used. */
  current: boolean
}

interface Row {
  attempt_id: string | null
  bound_device_key: string | null
  purpose: 'enrollment' | 'renewal'
  revoked: boolean
  id: EnrollmentId | null
  device_id: DeviceId
  device_key: string
  state: EnrollmentState
  current: boolean
  user_id: EnrollmentId | null
  user_state: EnrollmentState
}

const WHO = {
  name: 'speaker',
  text: `select c.attempt_id, c.device_key as bound_device_key, c.purpose, c.revoked_at is not null as revoked,
      e.id, e.device_id, e.device_key, e.state, e.certificate_sha256 = c.sha256 as current, u.id as user_id, u.state as user_state
    from certificates c
    left join enrollments e on e.id = c.enrollment_id
    left join enrollments u on u.parent_id = e.id and u.user_key = $2 and u.channel = 'user'
    where c.sha256 = $1`,
}

/**
 * Finds who presents this certificate and whether the message speaks for that device: the binding is the SHA-256 of the
 * certificate, never a name in it. Throws DeviceRefused for an unknown or revoked certificate, or another device's identifiers.
 */
export async function findSpeaker(tx: Tx, certificateSha256: Buffer, channel: ChannelAddress): Promise<Speaker> {
  const [row] = await tx.rows<Row>(WHO, [certificateSha256, channel.userKey])
  if (!row) throw new DeviceRefused('unknown_certificate')
  if (row.revoked) throw new DeviceRefused('revoked')
  if (row.id !== null && row.device_key !== channel.deviceKey) throw new DeviceRefused('cert_enrollment_mismatch')
  return {
    certificateSha256,
    attemptId: row.attempt_id,
    boundDeviceKey: row.bound_device_key,
    purpose: row.purpose,
    device: row.id === null ? undefined : { id: row.id, deviceId: row.device_id, deviceKey: row.device_key, state: row.state, current: row.current },
    user: row.user_id === null || channel.channel === 'device' ? undefined : { id: row.user_id, state: row.user_state },
  }
}

/** The speaker's bound device channel; throws DeviceRefused when the certificate has not said Authenticate yet. */
export function boundDevice(speaker: Speaker): Bound {
  if (!speaker.device) throw new DeviceRefused('not_enrolled')
  return speaker.device
}
