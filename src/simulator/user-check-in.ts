import { decodePlist, plistDict } from '../apple/wire/plist.ts'
import type { DeviceLink } from './device-link.ts'
import type { DeviceMemory, DeviceUser, UserChannel } from './device-memory.ts'
import { EnrollmentRefused } from './enrollment-refused.ts'
import {
  CHECKIN_TYPE, checkOutMessage, getBootstrapTokenMessage, setBootstrapTokenMessage, userAuthenticateMessage,
  userTokenUpdateMessage,
} from './messages.ts'

// This user is not managed until the next login (Apple: UserAuthenticate, TokenUpdate).
const GIVEN_UP = 410

/**
 * Asks about a user of a directory. False: the server does not manage this user, until the next login. The simulator knows no
 * passwords, so a server that wants a digest does not manage them either. Throws EnrollmentRefused.
 */
export async function mayManage(memory: DeviceMemory, link: DeviceLink, user: DeviceUser): Promise<boolean> {
  const { status, body } = await link.deliver(userAuthenticateMessage(memory, user), CHECKIN_TYPE)
  if (status === GIVEN_UP) return false
  if (status !== 200) throw new EnrollmentRefused('user_authenticate', status)
  return plistDict(decodePlist(body))['DigestChallenge'] === ''
}

/** Says how a user is to be woken; false when the server does not manage them. Throws EnrollmentRefused. */
export async function announceUser(memory: DeviceMemory, link: DeviceLink, channel: UserChannel): Promise<boolean> {
  const { status } = await link.deliver(userTokenUpdateMessage(memory, channel), CHECKIN_TYPE)
  if (status !== 200 && status !== GIVEN_UP) throw new EnrollmentRefused('user_token_update', status)
  return status === 200
}

/** Says goodbye for one user; nobody waits for the answer. */
export async function sayUserCheckOut(memory: DeviceMemory, link: DeviceLink, user: DeviceUser): Promise<void> {
  if (!memory.enrollment.profile.checkOutWhenRemoved) return
  await link.put(checkOutMessage(memory, user), CHECKIN_TYPE).catch(() => undefined)
}

/** Entrusts the server with what unlocks the Mac's volumes, or without a token asks it to forget. Throws EnrollmentRefused. */
export async function entrust(memory: DeviceMemory, link: DeviceLink, token: Buffer | undefined): Promise<void> {
  const { status } = await link.deliver(setBootstrapTokenMessage(memory, token), CHECKIN_TYPE)
  if (status !== 200) throw new EnrollmentRefused('bootstrap_token', status)
  if (token) memory.enrollment.bootstrapToken = token
  else delete memory.enrollment.bootstrapToken
}

/** What the server was entrusted with; undefined when it has nothing. Throws EnrollmentRefused. */
export async function askBack(memory: DeviceMemory, link: DeviceLink): Promise<Buffer | undefined> {
  const { status, body } = await link.deliver(getBootstrapTokenMessage(memory), CHECKIN_TYPE)
  if (status !== 200) throw new EnrollmentRefused('bootstrap_token', status)
  const { BootstrapToken: token } = plistDict(decodePlist(body))
  return Buffer.isBuffer(token) && token.length > 0 ? token : undefined
}
