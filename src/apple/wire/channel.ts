import { WireError } from './error.ts'
import type { PlistDict } from './plist.ts'

/**
 * Who speaks: a device, and on the user channel one of its users. Keys are kept exactly as sent. `userKey` is '' on
 * the device channel, else UserID (Mac), UserShortName (Shared iPad) or EnrollmentUserID (Mac under User Enrollment).
 * The names only say what the device calls this user; one that is unusable as text is left out.
 */
export interface ChannelAddress {
  deviceKey: string
  deviceKeyKind: 'udid' | 'enrollment_id'
  channel: 'device' | 'user'
  userKey: string
  userShortName?: string
  userLongName?: string
  /** A user of a Shared iPad, told apart by `userShortName`. */
  isShared?: true
}

/** The keys of a message that say whose it is; `NotOnConsole` and `AuthToken` belong to the user channel as well. */
export const CHANNEL_KEYS: ReadonlySet<string> = new Set([
  'UDID', 'EnrollmentID', 'UserID', 'EnrollmentUserID', 'UserShortName', 'UserLongName', 'NotOnConsole', 'AuthToken',
])

// Shared iPad sends this one UserID for everybody; the short name (the Managed Apple Account) tells them apart.
const SHARED_IPAD_USER = 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'
const DEVICE_KEY = /^[A-Za-z0-9-]{8,64}$/
const USER_TEXT = /^\P{Cc}{1,255}$/u

/**
 * Reads the channel of a check-in message or a report (Apple: TokenUpdate and Authenticate request keys). Apple
 * forbids the UDID in user enrollment and the EnrollmentID everywhere else, so a message with both is refused: nobody can
 * speak as a personal enrollment by adding its id. Throws WireError 'identifier' when the device or user cannot be told,
 * 'type' when an identifier is not a string.
 */
export function readChannel(dict: PlistDict): ChannelAddress {
  const udid = readString(dict, 'UDID')
  const enrollmentId = readString(dict, 'EnrollmentID')
  if (udid !== undefined && enrollmentId !== undefined) throw new WireError('identifier', 'both UDID and EnrollmentID')
  if (udid !== undefined) return address(dict, 'udid', udid, userOfDevice(dict))
  if (enrollmentId !== undefined) return address(dict, 'enrollment_id', enrollmentId, userOfEnrollment(dict))
  throw new WireError('identifier', 'neither UDID nor EnrollmentID')
}

function address(
  dict: PlistDict, kind: ChannelAddress['deviceKeyKind'], deviceKey: string, user: string | undefined,
): ChannelAddress {
  if (!DEVICE_KEY.test(deviceKey)) throw new WireError('identifier', 'not a device identifier')
  if (user === undefined) return { deviceKey, deviceKeyKind: kind, channel: 'device', userKey: '' }
  if (!USER_TEXT.test(user)) throw new WireError('identifier', 'not a user identifier')
  return { deviceKey, deviceKeyKind: kind, channel: 'user', userKey: user, ...userNames(dict), ...(isSharedIpad(dict) && { isShared: true }) }
}

function userOfDevice(dict: PlistDict): string | undefined {
  const userId = readString(dict, 'UserID')
  if (userId === undefined) return withoutUser(dict, 'EnrollmentUserID')
  return isSharedIpad(dict) ? readString(dict, 'UserShortName') ?? '' : userId
}

function isSharedIpad(dict: PlistDict): boolean {
  return readString(dict, 'UserID')?.toUpperCase() === SHARED_IPAD_USER
}

function userOfEnrollment(dict: PlistDict): string | undefined {
  return readString(dict, 'EnrollmentUserID') ?? withoutUser(dict, 'UserID')
}

// A user key of the other kind of enrollment: taking it for the device channel would let a user replace its token.
function withoutUser(dict: PlistDict, foreignKey: string): undefined {
  if (readString(dict, foreignKey) !== undefined) throw new WireError('identifier', `${foreignKey} out of place`)
}

function userNames(dict: PlistDict): Pick<ChannelAddress, 'userShortName' | 'userLongName'> {
  const shortName = readString(dict, 'UserShortName') ?? ''
  const longName = readString(dict, 'UserLongName') ?? ''
  return {
    ...(USER_TEXT.test(shortName) && { userShortName: shortName }),
    ...(USER_TEXT.test(longName) && { userLongName: longName }),
  }
}

function readString(dict: PlistDict, key: string): string | undefined {
  const value = dict[key]
  if (value !== undefined && typeof value !== 'string') throw new WireError('type', `${key} is not a string`)
  return value
}
