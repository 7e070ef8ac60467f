import type { EncodableDict } from '../apple/wire/plist-writer.ts'
import { acknowledged, failed, type AnswerFunction } from './answer.ts'
import type { DeviceMemory } from './device-memory.ts'
import type { DeviceState } from './device-state.ts'
import { errorItem } from './error-chain.ts'
import type { InstalledProfile } from './installed-profile.ts'

/** Of a Mac its disk, start and firewall, where one of its users only hears about the management; else the passcode. */
export const securityInfo: AnswerFunction = (phone, _command, _now, user) => {
  const isMac = phone.hardware.model.platform === 'mac'
  if (isMac) return acknowledged({ SecurityInfo: user ? { ManagementStatus: MAC_MANAGEMENT } : ofMac(phone) })
  return acknowledged({ SecurityInfo: ofMobile(phone.state) })
}

/** Both levels of encryption (3), and whether there is the passcode that profiles ask for. */
function ofMobile(state: DeviceState): EncodableDict {
  return {
    AutoLockTime: state.sharedIpad ? 120 : undefined,
    HardwareEncryptionCaps: 3,
    ManagementStatus: { IsUserEnrollment: false },
    PasscodeCompliant: true,
    PasscodeCompliantWithProfiles: state.passcodePresent || !state.profiles.some((profile) => profile.needsPasscode),
    PasscodeLockGracePeriod: 0,
    PasscodeLockGracePeriodEnforced: 0,
    PasscodePresent: state.passcodePresent,
  }
}

const MAC_MANAGEMENT = {
  EnrolledViaDEP: false, IsActivationLockManageable: true, IsUserEnrollment: false, UserApprovedEnrollment: true,
}

function ofMac({ enrollment }: DeviceMemory): EncodableDict {
  return {
    AuthenticatedRootVolumeEnabled: true,
    BootstrapTokenAllowedForAuthentication: enrollment.bootstrapToken ? 'allowed' : 'not supported',
    BootstrapTokenRequiredForKernelExtensionApproval: true,
    BootstrapTokenRequiredForSoftwareUpdate: true,
    FDE_Enabled: true,
    FDE_HasInstitutionalRecoveryKey: false,
    FDE_HasPersonalRecoveryKey: true,
    FirewallSettings: { Applications: [], BlockAllIncoming: false, FirewallEnabled: true, StealthMode: false },
    IsRecoveryLockEnabled: false,
    ManagementStatus: MAC_MANAGEMENT,
    RemoteDesktopEnabled: false,
    SecureBoot: { ExternalBootLevel: 'not supported', SecureBootLevel: 'full' },
    SystemIntegrityProtectionEnabled: true,
  }
}

/** Locks the screen at once. What became of message and number iOS tells when there was one, and a Mac never. */
export const deviceLock: AnswerFunction = ({ state, hardware }, command) => {
  if (state.lostMode) return acknowledged({ MessageResult: 'DeviceInLostMode' })
  const { Message: message, PhoneNumber: phoneNumber } = command
  const shown = {
    ...(typeof message === 'string' && { message }),
    ...(typeof phoneNumber === 'string' && { phoneNumber }),
  }
  const says = Object.keys(shown).length > 0 && hardware.model.platform !== 'mac'
  // Without a passcode iOS locks, but has no screen that could show a message and still be opened.
  if (says && !state.passcodePresent) return acknowledged({ MessageResult: 'NoPasscodeSet' })
  state.lockScreen = shown
  return acknowledged(says ? { MessageResult: 'Success' } : undefined)
}

/** Takes the passcode away, for whoever brings the very UnlockToken that this device gave out. */
export const clearPasscode: AnswerFunction = ({ state, enrollment }, command) => {
  const token = command['UnlockToken']
  if (!Buffer.isBuffer(token) || !enrollment.unlockToken?.equals(token)) {
    return failed(errorItem('MCPasscodeErrorDomain', 5013, 'The passcode could not be cleared.'))
  }
  state.passcodePresent = false
  return acknowledged()
}

export const eraseDevice: AnswerFunction = () => acknowledged(undefined, { kind: 'erase' })

/** What applies now, all profiles together; with `ProfileRestrictions` also which profile says what. */
export const restrictions: AnswerFunction = ({ state }, command, _now, user) => {
  const restricting = (user ?? state).profiles.filter((profile) => Object.keys(profile.restrictions).length > 0)
  const single = Object.fromEntries(restricting.map((profile) => [profile.identifier, grouped([profile])]))
  return acknowledged({
    GlobalRestrictions: grouped(restricting),
    ...(command['ProfileRestrictions'] === true && { ProfileRestrictions: single }),
  })
}

function grouped(profiles: InstalledProfile[]) {
  const restrictedBool: Record<string, { value: boolean }> = {}
  const restrictedValue: Record<string, { value: number }> = {}
  for (const [key, value] of profiles.flatMap((profile) => Object.entries(profile.restrictions))) {
    if (typeof value === 'number') restrictedValue[key] = { value: stricterNumber(restrictedValue[key]?.value, value) }
    else restrictedBool[key] = { value: stricter(key, restrictedBool[key]?.value, value) }
  }
  return { intersection: {}, restrictedBool, restrictedValue, union: {} }
}

/** One profile that forbids is enough, and so is one that forces. */
function stricter(key: string, before: boolean | undefined, value: boolean): boolean {
  if (before === undefined) return value
  return key.startsWith('force') ? before || value : before && value
}

function stricterNumber(before: number | undefined, value: number): number {
  return before === undefined ? value : Math.min(before, value)
}

/** Starts again; the passcode must be typed before the next unlock, which the server does not see. */
export const restartDevice: AnswerFunction = ({ state }) => {
  state.restarts += 1
  forgetScreen(state)
  return acknowledged()
}

export const shutDownDevice: AnswerFunction = ({ state }) => {
  forgetScreen(state)
  return acknowledged(undefined, { kind: 'power_off' })
}

function forgetScreen(state: DeviceState): void {
  delete state.lockScreen
}
