import { encodePlist } from '../apple/wire/plist-writer.ts'
import type { Answer } from './answer.ts'
import type { DeviceMemory, Enrollment } from './device-memory.ts'
import type { Hardware } from './hardware.ts'

/** Content types as devices write them (Apple: Check-in; Commands and queries). */
export const CHECKIN_TYPE = 'application/x-apple-aspen-mdm-checkin'
export const REPORT_TYPE = 'application/x-apple-aspen-mdm; charset=UTF-8'

const QUERY_DEVICE_INFO = 16
const LOCK_AND_PASSCODE = 4

/** The message that begins an enrollment. Keys are in the order of the alphabet, as devices write them. */
export function authenticateMessage(hardware: Hardware, profile: Enrollment['profile']): Buffer {
  const { model, cellular, serialNumber, udid } = hardware
  // Without the right to query the device, it keeps to itself what it is.
  const tells = profile.accessRights === undefined || (profile.accessRights & QUERY_DEVICE_INFO) !== 0
  return encodePlist({
    BuildVersion: tells ? model.buildVersion : undefined,
    IMEI: tells ? cellular?.imei : undefined,
    MEID: tells ? cellular?.meid : undefined,
    MessageType: 'Authenticate',
    OSVersion: tells ? model.osVersion : undefined,
    ProductName: tells ? model.productName : undefined,
    SerialNumber: tells ? serialNumber : undefined,
    Topic: profile.topic,
    UDID: udid,
  })
}

/** How to wake the device; the UnlockToken goes along only when asked for, as it does after an Authenticate. */
export function tokenUpdateMessage(udid: string, enrollment: Enrollment, o: { unlockToken: boolean }): Buffer {
  return encodePlist({
    MessageType: 'TokenUpdate',
    PushMagic: enrollment.pushMagic,
    Token: enrollment.pushToken,
    Topic: enrollment.profile.topic,
    UDID: udid,
    UnlockToken: o.unlockToken ? enrollment.unlockToken : undefined,
  })
}

/** Whether devices hand out an UnlockToken under this profile. */
export function givesUnlockToken({ accessRights }: Enrollment['profile']): boolean {
  return accessRights === undefined || (accessRights & LOCK_AND_PASSCODE) !== 0
}

export function checkOutMessage({ hardware, enrollment }: DeviceMemory): Buffer {
  return encodePlist({ MessageType: 'CheckOut', Topic: enrollment.profile.topic, UDID: hardware.udid })
}

export function idleMessage({ hardware }: DeviceMemory): Buffer {
  return encodePlist({ Status: 'Idle', UDID: hardware.udid })
}

/** The report on one command. */
export function reportMessage({ hardware }: DeviceMemory, commandUuid: string, answer: Answer): Buffer {
  const { errorChain, fields, status } = answer
  const all = { CommandUUID: commandUuid, ErrorChain: errorChain, ...fields, Status: status, UDID: hardware.udid }
  return encodePlist(Object.fromEntries(Object.entries(all).toSorted(([a], [b]) => (a < b ? -1 : 1))))
}
