/**
 * Devices and their channels: check-in, and which certificate speaks for whom. Owns `devices`, `enrollments`,
 * `enrollment_sightings`. The enrollment row is the device's mutex for every process: lock it first.
 * Apple: https://developer.apple.com/documentation/devicemanagement/check-in
 */
export { checkin, endGeneration, type CheckinAnswer, type KnownTopic } from './checkin.ts'
export { registerDevices } from './api.ts'
export { isCurrent, stands } from './current.ts'
export { getDevice, type DeviceRow } from './devices.ts'
export { platformOf } from './platform.ts'
export { renewIfNew } from './renew.ts'
export { lockEnrolledChannel } from './speaking.ts'
export { startSightings, type Sightings } from './sightings.ts'
export { boundDevice, findSpeaker, type Bound, type Speaker } from './speaker.ts'
export { end, lock, lockAll, setState, setTerms, type Locked } from './store.ts'
export { findNamed, type NamedChannel } from './wire-ids.ts'
export { openUnlockToken } from './unlock-token.ts'
export { getUserChannel } from './users.ts'
export { devices, enrollments, enrollmentSightings, ENROLLMENT_STATES, type EnrollmentState } from './tables.ts'
