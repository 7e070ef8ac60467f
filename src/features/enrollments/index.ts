/**
 * Devices and their channels: check-in, and which certificate speaks for whom. Owns `devices`, `enrollments`,
 * `enrollment_sightings`. The enrollment row is the device's mutex for every process: lock it first.
 * Apple: https://developer.apple.com/documentation/devicemanagement/check-in
 */
export { checkin, type CheckinAnswer } from './checkin.ts'
export { hear } from './claim.ts'
export { importCheckin, type KnownTopic } from './import.ts'
export { registerDevices } from './api.ts'
export { isCurrent, stands } from './current.ts'
export { getDevice, type DeviceRow } from './devices.ts'
export { platformOf } from './platform.ts'
export { adoptRenewed } from './renew.ts'
export { enrolledChannel } from './speaking.ts'
export { startSightings, type Sightings } from './sightings.ts'
export { findSpeaker, type Speaker } from './speaker.ts'
export { lock, lockAll, type Locked } from './store.ts'
export { tellWebhook } from './tell.ts'
export { findNamed, type NamedChannel } from './wire-ids.ts'
export { openUnlockToken } from './unlock-token.ts'
export { getUserChannel } from './users.ts'
export { devices, enrollments, enrollmentSightings, ENROLLMENT_STATES, type EnrollmentState } from './tables.ts'
