import { commands } from '../apple/catalogue/catalogue.ts'
import type { PlistDict } from '../apple/wire/plist.ts'
import { acknowledged, badFormat, failed, stringOf, type Answer, type AnswerFunction } from './answer.ts'
import {
  installApplication, installedApplicationList, managedApplicationList, removeApplication,
} from './answer-apps.ts'
import { deviceConfigured, userConfigured } from './answer-configured.ts'
import { deviceInformation } from './answer-device-information.ts'
import { deviceLocation, disableLostMode, enableLostMode, playLostModeSound } from './answer-lost-mode.ts'
import { certificateList, installProfile, profileList, removeProfile } from './answer-profiles.ts'
import {
  clearPasscode, deviceLock, eraseDevice, restartDevice, restrictions, securityInfo, shutDownDevice,
} from './answer-security.ts'
import { settings } from './answer-settings.ts'
import { deleteUser, logOutUser, userList } from './answer-users.ts'
import { whyNot } from './capabilities.ts'
import type { DeviceMemory, UserChannel } from './device-memory.ts'
import { invalidRequestType } from './error-chain.ts'
import { bypassCode } from './hardware.ts'

const nothingToTell: AnswerFunction = () => acknowledged()
const activationLockBypassCode: AnswerFunction = ({ hardware }) => (
  acknowledged({ ActivationLockBypassCode: bypassCode(hardware.serialNumber) })
)

/** How each command is carried out by the devices that do it; which those are, Apple's catalogue says. */
export const SKILLS: Readonly<Record<string, AnswerFunction>> = {
  ActivationLockBypassCode: activationLockBypassCode,
  AvailableOSUpdates: () => acknowledged({ AvailableOSUpdates: [] }),
  CertificateList: certificateList,
  ClearActivationLockBypassCode: nothingToTell,
  ClearPasscode: clearPasscode,
  ClearRestrictionsPassword: nothingToTell,
  DeleteUser: deleteUser,
  DeviceConfigured: deviceConfigured,
  DeviceInformation: deviceInformation,
  DeviceLocation: deviceLocation,
  DeviceLock: deviceLock,
  DisableLostMode: disableLostMode,
  EnableLostMode: enableLostMode,
  EraseDevice: eraseDevice,
  InstallApplication: installApplication,
  InstallProfile: installProfile,
  InstalledApplicationList: installedApplicationList,
  LogOutUser: logOutUser,
  ManagedApplicationList: managedApplicationList,
  OSUpdateStatus: () => acknowledged({ OSUpdateStatus: [] }),
  PlayLostModeSound: playLostModeSound,
  ProfileList: profileList,
  ProvisioningProfileList: () => acknowledged({ ProvisioningProfileList: [] }),
  RemoveApplication: removeApplication,
  RemoveProfile: removeProfile,
  RestartDevice: restartDevice,
  Restrictions: restrictions,
  SecurityInfo: securityInfo,
  Settings: settings,
  ShutDownDevice: shutDownDevice,
  StopMirroring: nothingToTell,
  UserConfigured: userConfigured,
  UserList: userList,
}

/**
 * Carries out one command as this device would, `command` being the dict with the RequestType, and gives its report. `user`:
 * it came on the channel of that user. A RequestType that no device of Apple's knows, or none of ours plays, is a
 * CommandFormatError; one that this platform or this channel does not have is an Error, and so is a missing right or
 * supervision.
 */
export function answerCommand(phone: DeviceMemory, command: PlistDict, now: Date, user?: UserChannel): Answer {
  const requestType = stringOf(command['RequestType']) ?? ''
  if (!commands.has(requestType)) return badFormat(invalidRequestType(requestType))
  const reason = isLeaving(phone, command) ? undefined : whyNot(phone, requestType, user)
  if (reason) return failed(reason)
  const answer = SKILLS[requestType]
  return answer ? answer(phone, command, now, user) : badFormat(invalidRequestType(requestType))
}

// A server may always take its own management off the device.
function isLeaving({ enrollment }: DeviceMemory, command: PlistDict): boolean {
  return command['RequestType'] === 'RemoveProfile' && command['Identifier'] === enrollment.profile.identifier
}
