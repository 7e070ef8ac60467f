import type { Signer } from '../apple/wire/cms-sign.ts'
import type { EnrollmentProfile } from '../apple/wire/mobileconfig.ts'
import type { Answer } from './answer.ts'
import { freshState, type DeviceState } from './device-state.ts'
import type { Hardware } from './hardware.ts'

/** Everything a device knows and would still know after a restart. */
export interface DeviceMemory {
  readonly hardware: Hardware
  state: DeviceState
  phase: Phase
  enrollment: Enrollment
}

/** `unenrolled`: the enrollment profile is gone. `erased`: everything is. Neither talks to the server any more. */
export type Phase = 'enrolled' | 'unenrolled' | 'erased'

/** The management of a device: what its enrollment profile says, and what it agreed with server and push service. */
export interface Enrollment {
  /** The profile as it came, without its signature; `profile` is read from it. */
  profileXml: Buffer
  profile: EnrollmentProfile
  identity: Signer
  pushToken: Buffer
  pushMagic: string
  /** Opens the passcode; handed to the server only with right 4. */
  unlockToken?: Buffer
  /** A report that the server has not confirmed: sent again, byte for byte, before anything else. */
  pendingReport?: { body: Buffer; executed: Executed }
}

/** A command that the device carried out, or put off, and what it said about it. */
export interface Executed {
  commandUuid: string
  requestType: string
  status: Answer['status']
  at: Date
}

const ALL_RIGHTS = 8191

/**
 * The AccessRights of the enrollment. A profile without them, as for personal devices, gives all that this device
 * plays.
 */
export function rightsOf(phone: DeviceMemory): number {
  return phone.enrollment.profile.accessRights ?? ALL_RIGHTS
}

/** The state of the device after an erasure: empty, and as supervised as before. */
export function wipedState({ hardware, state }: DeviceMemory): DeviceState {
  return { ...freshState(hardware, { supervised: state.supervised, passcodePresent: false }), apps: [] }
}

/** What management brought goes with it: its profiles, its apps, and the enrollment profile itself. */
export function forgetManagement({ state, enrollment }: DeviceMemory): void {
  const own = enrollment.profile.identifier
  state.profiles = state.profiles.filter((profile) => !profile.managed && profile.identifier !== own)
  state.apps = state.apps.filter((app) => !app.managed)
}
