import type { PlistDict } from '../apple/wire/plist.ts'
import { acknowledged, badFormat, failed, stringOf, type Answer, type AnswerFunction } from './answer.ts'
import {
  installApplication, installedApplicationList, managedApplicationList, removeApplication,
} from './answer-apps.ts'
import { deviceInformation } from './answer-device-information.ts'
import { deviceLocation, disableLostMode, enableLostMode, playLostModeSound } from './answer-lost-mode.ts'
import { certificateList, installProfile, profileList, removeProfile } from './answer-profiles.ts'
import {
  clearPasscode, deviceLock, eraseDevice, restartDevice, restrictions, securityInfo, shutDownDevice,
} from './answer-security.ts'
import { settings } from './answer-settings.ts'
import { rightsOf, type DeviceMemory } from './device-memory.ts'
import { invalidRequestType, notAuthorized } from './error-chain.ts'
import { bypassCode } from './hardware.ts'

/**
 * A command that the device knows: the access right it needs, whether only supervised devices do it, how it is
 * done.
 */
interface Skill {
  right?: number
  supervised?: true
  answer: AnswerFunction
}

const nothingToTell: AnswerFunction = () => acknowledged()
const activationLockBypassCode: AnswerFunction = ({ hardware }) => (
  acknowledged({ ActivationLockBypassCode: bypassCode(hardware.serialNumber) })
)

/** Rights and supervision as in Apple's schema of the commands. */
export const SKILLS: Readonly<Record<string, Skill>> = {
  ActivationLockBypassCode: { supervised: true, answer: activationLockBypassCode },
  AvailableOSUpdates: { right: 4096, supervised: true, answer: () => acknowledged({ AvailableOSUpdates: [] }) },
  CertificateList: { right: 1, answer: certificateList },
  ClearActivationLockBypassCode: { supervised: true, answer: nothingToTell },
  ClearPasscode: { right: 4, answer: clearPasscode },
  ClearRestrictionsPassword: { supervised: true, answer: nothingToTell },
  DeviceInformation: { answer: deviceInformation },
  DeviceLocation: { supervised: true, answer: deviceLocation },
  DeviceLock: { right: 4, answer: deviceLock },
  DisableLostMode: { supervised: true, answer: disableLostMode },
  EnableLostMode: { supervised: true, answer: enableLostMode },
  EraseDevice: { right: 8, answer: eraseDevice },
  InstallApplication: { right: 4096, answer: installApplication },
  InstallProfile: { right: 2, answer: installProfile },
  InstalledApplicationList: { right: 256, answer: installedApplicationList },
  ManagedApplicationList: { right: 4096, answer: managedApplicationList },
  OSUpdateStatus: { right: 4096, supervised: true, answer: () => acknowledged({ OSUpdateStatus: [] }) },
  PlayLostModeSound: { supervised: true, answer: playLostModeSound },
  ProfileList: { right: 1, answer: profileList },
  ProvisioningProfileList: { right: 64, answer: () => acknowledged({ ProvisioningProfileList: [] }) },
  RemoveApplication: { right: 4096, answer: removeApplication },
  RemoveProfile: { right: 2, answer: removeProfile },
  RestartDevice: { right: 4, supervised: true, answer: restartDevice },
  Restrictions: { right: 512, answer: restrictions },
  SecurityInfo: { right: 1024, answer: securityInfo },
  Settings: { right: 2048, answer: settings },
  ShutDownDevice: { right: 4, supervised: true, answer: shutDownDevice },
  StopMirroring: { supervised: true, answer: nothingToTell },
}

/**
 * Carries out one command as an iPhone or iPad would, `command` being the dict with the RequestType, and gives its
 * report. A RequestType that this device does not play is a CommandFormatError, a missing right or supervision an
 * Error.
 */
export function answerCommand(phone: DeviceMemory, command: PlistDict, now: Date): Answer {
  const requestType = stringOf(command['RequestType']) ?? ''
  const skill = Object.hasOwn(SKILLS, requestType) ? SKILLS[requestType] : undefined
  if (!skill) return badFormat(invalidRequestType(requestType))
  if (skill.supervised && !phone.state.supervised) return failed(invalidRequestType(requestType))
  if (!isAllowed(phone, skill, command)) return failed(notAuthorized(requestType))
  return skill.answer(phone, command, now)
}

// A server may always take its own management off the device.
function isAllowed(phone: DeviceMemory, { right, answer }: Skill, command: PlistDict): boolean {
  const leaving = answer === removeProfile && command['Identifier'] === phone.enrollment.profile.identifier
  return leaving || right === undefined || (rightsOf(phone) & right) !== 0
}
