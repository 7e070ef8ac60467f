import { createPrivateKey } from 'node:crypto'
import { readEnrollmentProfile } from '../apple/wire/mobileconfig.ts'
import { readCertificate } from '../apple/wire/x509.ts'
import { SimulatedDevice, type DeviceOptions } from './device.ts'
import type { Channel, DeviceMemory, DeviceUser, Enrollment, Executed, Phase, UserChannel } from './device-memory.ts'
import type { DeviceState } from './device-state.ts'
import type { Hardware } from './hardware.ts'
import type { InstalledProfile } from './installed-profile.ts'

/** A device as JSON. It holds the private key of its identity: keep it like one. */
export interface SavedDevice {
  /** 1 knew no users and no bootstrap token. */
  version: 1 | 2
  hardware: Hardware
  state: DeviceState
  phase: Phase
  enrollment: SavedChannel & {
    profile: string
    /** PKCS#8, DER in base64, like every string here. */
    key: string
    certificate: string
    unlockToken?: string
    bootstrapToken?: string
    users?: SavedUser[]
  }
}

interface SavedChannel {
  pushToken: string
  pushMagic: string
  pendingReport?: SavedReport
}

interface SavedUser extends SavedChannel {
  user: DeviceUser
  loggedIn: boolean
  awaitingConfiguration?: boolean
  profiles: InstalledProfile[]
}

interface SavedReport {
  body: string
  executed: Omit<Executed, 'at'> & { at: string }
}

/** What `resumeDevice` needs. A copy: the device may go on meanwhile. */
export function saveDevice({ memory }: { memory: DeviceMemory }): SavedDevice {
  const { hardware, state, phase, enrollment } = memory
  return structuredClone({ version: 2, hardware, state, phase, enrollment: saveEnrollment(enrollment) })
}

/** The memory of a saved device. Throws for what `saveDevice` has not made. */
export function loadDevice({ hardware, state, phase, enrollment }: SavedDevice): DeviceMemory {
  const profileXml = base64(enrollment.profile)
  const key = createPrivateKey({ key: base64(enrollment.key), format: 'der', type: 'pkcs8' })
  const { unlockToken, bootstrapToken, users = [] } = enrollment
  return {
    hardware: structuredClone(hardware),
    state: structuredClone(state),
    phase,
    enrollment: {
      profileXml,
      profile: readEnrollmentProfile(profileXml),
      identity: { key, certificate: readCertificate(base64(enrollment.certificate)) },
      ...loadChannel(enrollment),
      ...(unlockToken !== undefined && { unlockToken: base64(unlockToken) }),
      ...(bootstrapToken !== undefined && { bootstrapToken: base64(bootstrapToken) }),
      users: users.map(loadUser),
    },
  }
}

/**
 * A saved device goes on where it was: it hears pushes again, and tells the server a new token when the stand-in
 * forgot the old one. One that has left management comes back silent. Rejects as `tokenUpdate` does.
 */
export async function resumeDevice(saved: SavedDevice, o: DeviceOptions): Promise<SimulatedDevice> {
  const device = new SimulatedDevice(loadDevice(saved), o)
  if (device.phase !== 'enrolled') return device
  const known = await device.listen().then(() => true, () => false)
  if (!known) await device.tokenUpdate({ newToken: true })
  for (const session of device.users) await session.resume()
  return device
}

function saveEnrollment(enrollment: Enrollment): SavedDevice['enrollment'] {
  const { profileXml, identity, unlockToken, bootstrapToken, users } = enrollment
  return {
    ...saveChannel(enrollment),
    profile: profileXml.toString('base64'),
    key: identity.key.export({ format: 'der', type: 'pkcs8' }).toString('base64'),
    certificate: identity.certificate.der.toString('base64'),
    ...(unlockToken && { unlockToken: unlockToken.toString('base64') }),
    ...(bootstrapToken && { bootstrapToken: bootstrapToken.toString('base64') }),
    users: users.map(saveUser),
  }
}

function saveUser(channel: UserChannel): SavedUser {
  return { ...aboutUser(channel), ...saveChannel(channel) }
}

function loadUser(saved: SavedUser): UserChannel {
  return { ...structuredClone(aboutUser(saved)), ...loadChannel(saved) }
}

function aboutUser({ user, loggedIn, awaitingConfiguration, profiles }: UserChannel | SavedUser) {
  return { user, loggedIn, profiles, ...(awaitingConfiguration !== undefined && { awaitingConfiguration }) }
}

function saveChannel({ pushToken, pushMagic, pendingReport: pending }: Channel): SavedChannel {
  return { pushToken: pushToken.toString('base64'), pushMagic, ...(pending && { pendingReport: saveReport(pending) }) }
}

function loadChannel({ pushToken, pushMagic, pendingReport: pending }: SavedChannel): Channel {
  return { pushToken: base64(pushToken), pushMagic, ...(pending && { pendingReport: loadReport(pending) }) }
}

function saveReport({ body, executed }: NonNullable<Enrollment['pendingReport']>): SavedReport {
  return { body: body.toString('base64'), executed: { ...executed, at: executed.at.toISOString() } }
}

function loadReport({ body, executed }: SavedReport): NonNullable<Enrollment['pendingReport']> {
  return { body: base64(body), executed: { ...executed, at: new Date(executed.at) } }
}

function base64(text: string): Buffer {
  return Buffer.from(text, 'base64')
}
