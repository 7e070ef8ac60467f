/**
 * The simulator: Apple devices that speak the real protocol over real HTTPS, and a stand-in for Apple's push
 * service that wakes them. Demos, tests and load runs use the same devices. Its floor is `apple` alone: it knows
 * the server only as a device does. Apple: https://developer.apple.com/documentation/devicemanagement
 */
export { startApnsStandIn, type ApnsStandIn, type ApnsStandInOptions } from './apns-stand-in.ts'
export { connectApnsListener, type ApnsListener, type ApnsListenerOptions } from './apns-listener.ts'
export { answerCommand, SKILLS } from './answers.ts'
export { systemTitle } from './capabilities.ts'
export { BEHAVIOUR_FORMS, parseBehaviour, type Behaviour } from './behaviour.ts'
export { ServerMisbehaved, ServerRefused, type HandedOut } from './conversation.ts'
export { SimulatedDevice, type DeviceOptions } from './device.ts'
export { SHARED_IPAD_USER, type DeviceMemory, type DeviceUser, type Executed, type Phase } from './device-memory.ts'
export { loadDevice, resumeDevice, saveDevice, type SavedDevice } from './device-save.ts'
export type { DeviceState } from './device-state.ts'
export { enrollDevice, type EnrollOptions } from './enroll.ts'
export { EnrollmentRefused, type EnrollmentStep } from './enrollment-refused.ts'
export { resumeFleet, startFleet, type Fleet, type FleetEvent, type FleetOptions, type FleetPlace } from './fleet.ts'
export { DEVICE_KINDS, modelsOfKind, type DeviceKind } from './kinds.ts'
export { makeHardware, randomSerialNumber, type Hardware } from './hardware.ts'
export { CHECKIN_TYPE, REPORT_TYPE } from './messages.ts'
export { MODELS, modelsOf, type DeviceModel } from './models.ts'
export { Offline, type Patience } from './patience.ts'
export { handOver, managedAccount, peopleOf } from './people.ts'
export { UserSession } from './user-session.ts'
