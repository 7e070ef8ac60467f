import { randomBytes, randomUUID } from 'node:crypto'
import { readEnrollmentProfile, type EnrollmentProfile } from '../apple/wire/mobileconfig.ts'
import { putProfile } from './answer-profiles.ts'
import type { DeviceLink } from './device-link.ts'
import type { DeviceMemory, Enrollment } from './device-memory.ts'
import { EnrollmentRefused, type EnrollmentStep } from './enrollment-refused.ts'
import { givesUnlockToken } from './enrollment-terms.ts'
import { readProfile } from './installed-profile.ts'
import { authenticateMessage, CHECKIN_TYPE, checkOutMessage, tokenUpdateMessage } from './messages.ts'
import { makeKey, obtainIdentity, renewIdentity } from './scep-identity.ts'

const UNLOCK_TOKEN_BYTES = 1_024

/** Begins an enrollment, or begins it anew: Authenticate, then TokenUpdate. Throws EnrollmentRefused. */
export async function checkIn(memory: DeviceMemory, link: DeviceLink): Promise<void> {
  await accepted(link, 'authenticate', authenticateMessage(memory))
  await updateToken(memory, link, { unlockToken: true })
}

/** Says how to be woken. Throws EnrollmentRefused. */
export async function updateToken(memory: DeviceMemory, link: DeviceLink, o: { unlockToken: boolean }): Promise<void> {
  await accepted(link, 'token_update', tokenUpdateMessage(memory, o))
}

/** Says goodbye once, if the profile asks for it; nobody waits for the answer. */
export async function sayCheckOut(memory: DeviceMemory, link: DeviceLink): Promise<void> {
  if (!memory.enrollment.profile.checkOutWhenRemoved) return
  await link.put(checkOutMessage(memory), CHECKIN_TYPE).catch(() => undefined)
}

/** What a device makes up anew for each enrollment. */
export function freshSecrets(
  { hardware, state }: Pick<DeviceMemory, 'hardware' | 'state'>, profile: EnrollmentProfile,
): Pick<Enrollment, 'pushMagic' | 'unlockToken'> {
  return {
    pushMagic: freshMagic(),
    ...(givesUnlockToken(hardware, state, profile) && { unlockToken: randomBytes(UNLOCK_TOKEN_BYTES) }),
  }
}

export function freshMagic(): string {
  return randomUUID().toUpperCase()
}

/** A new identity, asked for with the old one. Throws EnrollmentRefused. */
export async function renew({ enrollment }: DeviceMemory, link: DeviceLink): Promise<void> {
  const { scep } = enrollment.profile
  const key = await makeKey(scep.keySize)
  enrollment.identity = await renewIdentity((request) => link.ask(request), scep, key, enrollment.identity)
}

/**
 * Takes over a newer version of the enrollment profile, gets the identity it names and checks in with that (Apple:
 * renewing the identity of an enrollment). Nothing changes unless the identity was given. Throws EnrollmentRefused.
 */
export async function adoptProfile(
  memory: DeviceMemory, link: DeviceLink, profileXml: Buffer, now: Date,
): Promise<void> {
  const profile = readEnrollmentProfile(profileXml)
  const key = await makeKey(profile.scep.keySize)
  const identity = await obtainIdentity((request) => link.ask(request), profile.scep, key, now)
  Object.assign(memory.enrollment, { profileXml, profile, identity })
  rememberProfile(memory)
  await checkIn(memory, link)
}

/** Lists the enrollment profile among the installed ones. */
export function rememberProfile(memory: DeviceMemory): void {
  putProfile(memory.state, readProfile(memory.enrollment.profileXml, memory.enrollment.identity, false).installed)
}

async function accepted(link: DeviceLink, step: EnrollmentStep, message: Buffer): Promise<void> {
  const { status } = await link.deliver(message, CHECKIN_TYPE)
  if (status !== 200) throw new EnrollmentRefused(step, status)
}
