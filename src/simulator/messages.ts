import { encodePlist, type EncodableDict } from '../apple/wire/plist-writer.ts'
import type { Answer } from './answer.ts'
import { SHARED_IPAD_USER, type DeviceMemory, type DeviceUser, type UserChannel } from './device-memory.ts'

/** Content types as devices write them (Apple: Check-in; Commands and queries). */
export const CHECKIN_TYPE = 'application/x-apple-aspen-mdm-checkin'
export const REPORT_TYPE = 'application/x-apple-aspen-mdm; charset=UTF-8'

const QUERY_DEVICE_INFO = 16

/**
 * The message that begins an enrollment. Keys are in the order of the alphabet, as devices write them. Only Macs say a
 * name, and their model under names of its own (Apple: Authenticate).
 */
export function authenticateMessage({ hardware, state, enrollment: { profile } }: DeviceMemory): Buffer {
  const { model, cellular, serialNumber, udid } = hardware
  const isMac = model.platform === 'mac'
  // Without the right to query the device, it keeps to itself what it is.
  const tells = profile.accessRights === undefined || (profile.accessRights & QUERY_DEVICE_INFO) !== 0
  return encodePlist({
    BuildVersion: tells ? model.buildVersion : undefined,
    DeviceName: isMac ? state.deviceName : undefined,
    IMEI: tells ? cellular?.imei : undefined,
    MEID: tells ? cellular?.meid : undefined,
    MessageType: 'Authenticate',
    Model: isMac ? model.productName : undefined,
    ModelName: isMac ? model.modelName : undefined,
    OSVersion: tells ? model.osVersion : undefined,
    ProductName: tells ? model.productName : undefined,
    SerialNumber: tells ? serialNumber : undefined,
    Topic: profile.topic,
    UDID: udid,
  })
}

/** How to wake the device; the UnlockToken goes along only when asked for, as it does after an Authenticate. */
export function tokenUpdateMessage({ hardware, state, enrollment }: DeviceMemory, o: { unlockToken: boolean }): Buffer {
  return encodePlist({
    AwaitingConfiguration: state.awaitingConfiguration,
    MessageType: 'TokenUpdate',
    PushMagic: enrollment.pushMagic,
    Token: enrollment.pushToken,
    Topic: enrollment.profile.topic,
    UDID: hardware.udid,
    UnlockToken: o.unlockToken ? enrollment.unlockToken : undefined,
  })
}

/** How to wake one user of the device. A Mac says whether that user sits before it. */
export function userTokenUpdateMessage(memory: DeviceMemory, channel: UserChannel): Buffer {
  return encodePlist({
    AwaitingConfiguration: channel.awaitingConfiguration,
    MessageType: 'TokenUpdate',
    NotOnConsole: isOnMac(channel.user) ? !channel.loggedIn : undefined,
    PushMagic: channel.pushMagic,
    Token: channel.pushToken,
    Topic: memory.enrollment.profile.topic,
    ...channelKeys(memory, channel.user),
  })
}

/** Asks whether a network user of a Mac shall be managed; there are no names in it (Apple: UserAuthenticate). */
export function userAuthenticateMessage({ hardware }: DeviceMemory, user: DeviceUser): Buffer {
  return encodePlist({ MessageType: 'UserAuthenticate', UDID: hardware.udid, UserID: user.id })
}

/** Entrusts the token that unlocks a Mac's volumes; without one asks to forget it. */
export function setBootstrapTokenMessage({ hardware }: DeviceMemory, token: Buffer | undefined): Buffer {
  return encodePlist({
    AwaitingConfiguration: token && false, BootstrapToken: token, MessageType: 'SetBootstrapToken', UDID: hardware.udid,
  })
}

export function getBootstrapTokenMessage({ hardware }: DeviceMemory): Buffer {
  return encodePlist({ AwaitingConfiguration: false, MessageType: 'GetBootstrapToken', UDID: hardware.udid })
}

export function checkOutMessage(memory: DeviceMemory, user?: DeviceUser): Buffer {
  return encodePlist({ MessageType: 'CheckOut', Topic: memory.enrollment.profile.topic, ...channelKeys(memory, user) })
}

export function idleMessage(memory: DeviceMemory, user?: DeviceUser): Buffer {
  return sorted({ Status: 'Idle', ...channelKeys(memory, user), ...onConsole(user) })
}

/** The report on one command, on the device's channel or a user's. */
export function reportMessage(memory: DeviceMemory, commandUuid: string, answer: Answer, user?: DeviceUser): Buffer {
  const { errorChain, fields, status } = answer
  const own = { CommandUUID: commandUuid, ErrorChain: errorChain, Status: status }
  return sorted({ ...fields, ...own, ...channelKeys(memory, user), ...onConsole(user) })
}

/** The keys that say whose message it is. */
function channelKeys({ hardware }: DeviceMemory, user: DeviceUser | undefined): EncodableDict {
  if (!user) return { UDID: hardware.udid }
  return { UDID: hardware.udid, UserID: user.id, UserLongName: user.longName, UserShortName: user.shortName }
}

/** Whoever is logged in on a simulated Mac sits before it. */
function onConsole(user: DeviceUser | undefined): EncodableDict {
  return user && isOnMac(user) ? { NotOnConsole: false } : {}
}

function isOnMac({ id }: DeviceUser): boolean {
  return id !== SHARED_IPAD_USER
}

function sorted(dict: EncodableDict): Buffer {
  return encodePlist(Object.fromEntries(Object.entries(dict).toSorted(([a], [b]) => (a < b ? -1 : 1))))
}
