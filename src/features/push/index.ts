/**
 * Push certificates and wakes. Owns `push_certificates`, `push_wakes`, `pushes`. A push is a hint from an outbox: it is
 * never part of an enqueue's success, and only the device's visit takes a wake away.
 * Apple: https://developer.apple.com/documentation/devicemanagement/sending-mdm-commands-to-a-device
 */
export { registerPushCertificates } from './api.ts'
export { CHANGED, defaultTopic, findExpiry, holdsAnyTopic, isKnownTopic } from './certificates.ts'
export { openClients, type ApnsAddress, type Clients } from './clients.ts'
export type { PushAnswer } from '../../apple/cloud/apns.ts'
export { openKeyPair } from './key-pair.ts'
export { pushesBetween, type PushFact } from './outcomes.ts'
export { pushNow } from './push-now.ts'
export { daysLeft } from './shown.ts'
export { sendDue } from './sender.ts'
export { pushCertificates, pushes, pushWakes } from './tables.ts'
export { storeCertificate } from './upload.ts'
export { sweepSilent, visited, wake } from './wakes.ts'
