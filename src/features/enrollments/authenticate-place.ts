import type { EnrollmentId } from '../../base/ids.ts'
import type { Speaker } from './speaker.ts'

/** Where a newcomer with a fresh certificate stands: enrolling at once (perhaps replacing somebody), or held. */
export interface Place {
  state: 'identity_issued' | 'pending_approval'
  replaces: EnrollmentId | undefined
}

const HELD: Place = { state: 'pending_approval', replaces: undefined }

/**
 * The takeover rule (security-guide 7). A fresh certificate for a device that is enrolled already passes by itself only when
 * its link was made for that device, or the old identity is revoked, never finished enrolling, or was silent for 30 days.
 * Otherwise the newcomer is held: it gets 200 and nothing else, and the old identity stays valid until an administrator decides.
 */
export function findPlace({ known: { present }, boundDeviceKey }: Speaker): Place {
  if (!present) return { state: 'identity_issued', replaces: undefined }
  const passes = boundDeviceKey !== null || present.revoked || present.silent || present.state === 'identity_issued'
  return passes ? { state: 'identity_issued', replaces: present.id } : HELD
}

/**
 * A certificate of an extra CA opens the door only for a device that was never here. Where anybody enrolled before, it is held, also
 * when that enrollment has ended or is silent: whoever runs the other CA must not be able to take a device over.
 */
export function findPlaceOfExtra({ known }: Speaker): Place {
  return known.deviceId === undefined ? { state: 'identity_issued', replaces: undefined } : HELD
}
