import type { Signer } from '../apple/wire/cms-sign.ts'
import type { EnrollmentProfile } from '../apple/wire/mobileconfig.ts'
import type { Answer } from './answer.ts'
import { freshState, type DeviceState } from './device-state.ts'
import type { Hardware } from './hardware.ts'
import type { InstalledProfile } from './installed-profile.ts'

/** Everything a device knows and would still know after a restart. */
export interface DeviceMemory {
  readonly hardware: Hardware
  state: DeviceState
  phase: Phase
  enrollment: Enrollment
}

/** `unenrolled`: the enrollment profile is gone. `erased`: everything is. Neither talks to the server any more. */
export type Phase = 'enrolled' | 'unenrolled' | 'erased'

/**
 * One line of a device to its server: its own, or that of one of its users. Each has a token, a queue at the server and a
 * report of its own (Apple: device channel and user channel).
 */
export interface Channel {
  pushToken: Buffer
  pushMagic: string
  /** A report that the server has not confirmed: sent again, byte for byte, before anything else. */
  pendingReport?: { body: Buffer; executed: Executed }
}

/** Somebody with an account on a Mac or, under their Managed Apple Account, on a Shared iPad. */
export interface DeviceUser {
  /** A GUID on a Mac; on a Shared iPad the same for everybody: SHARED_IPAD_USER. */
  id: string
  shortName: string
  longName: string
  /** An account of a directory: the Mac asks first whether the server manages this user. */
  network?: boolean
}

/** What a Shared iPad sends as UserID of everybody (protocol: enrollment id resolution). */
export const SHARED_IPAD_USER = 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'

/** The channel of one user. It lives while that user is logged in. */
export interface UserChannel extends Channel {
  user: DeviceUser
  loggedIn: boolean
  /** The login waits for UserConfigured. */
  awaitingConfiguration?: boolean
  /** In the user's scope only. */
  profiles: InstalledProfile[]
}

/** The management of a device: what its enrollment profile says, and what it agreed with server and push service. */
export interface Enrollment extends Channel {
  /** The profile as it came, without its signature; `profile` is read from it. */
  profileXml: Buffer
  profile: EnrollmentProfile
  identity: Signer
  /** Opens the passcode; handed to the server only with right 4. */
  unlockToken?: Buffer
  /** Unlocks the volumes of a Mac; the one that the server was entrusted with. */
  bootstrapToken?: Buffer
  /** Users that the server was told of and manages. */
  users: UserChannel[]
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
  return { ...freshState(hardware, { supervised: state.supervised, sharedIpad: state.sharedIpad, passcodePresent: false }), apps: [] }
}

/** What management brought goes with it: its profiles, its apps, and the enrollment profile itself. */
export function forgetManagement({ state, enrollment }: DeviceMemory): void {
  const own = enrollment.profile.identifier
  enrollment.users = []
  delete enrollment.bootstrapToken
  state.profiles = state.profiles.filter((profile) => !profile.managed && profile.identifier !== own)
  state.apps = state.apps.filter((app) => !app.managed)
}
