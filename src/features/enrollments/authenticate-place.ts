import type { DeviceId, EnrollmentId } from '../../base/ids.ts'
import type { Work } from '../../base/work.ts'
import { findCurrent, wasEverHere } from './store.ts'
import type { Speaker } from './speaker.ts'

/** Where a newcomer with a fresh certificate stands: enrolling at once (perhaps replacing somebody), or held. */
export interface Place {
  state: 'identity_issued' | 'pending_approval'
  replaces: EnrollmentId | undefined
}

/**
 * The takeover rule (security-guide 7). A fresh certificate for a device that is enrolled already passes by itself only when
 * its link was made for that device, or the old identity is revoked, never finished enrolling, or was silent for 30 days.
 * Otherwise the newcomer is held: it gets 200 and nothing else, and the old identity stays valid until an administrator decides.
 */
export async function findPlace(work: Work, deviceId: DeviceId, speaker: Speaker): Promise<Place> {
  const current = await findCurrent(work.tx, deviceId)
  if (!current) return { state: 'identity_issued', replaces: undefined }
  const passes = speaker.boundDeviceKey !== null || current.revoked || current.silent || current.state === 'identity_issued'
  return passes ? { state: 'identity_issued', replaces: current.id } : { state: 'pending_approval', replaces: undefined }
}

/**
 * A certificate of an extra CA opens the door only for a device that was never here. Where anybody enrolled before, it is held, also
 * when that enrollment has ended or is silent: whoever runs the other CA must not be able to take a device over.
 */
export async function findPlaceOfExtra(work: Work, deviceId: DeviceId): Promise<Place> {
  return { state: (await wasEverHere(work.tx, deviceId)) ? 'pending_approval' : 'identity_issued', replaces: undefined }
}
