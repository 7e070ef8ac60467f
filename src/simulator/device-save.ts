import { createPrivateKey } from 'node:crypto'
import { readEnrollmentProfile } from '../apple/wire/mobileconfig.ts'
import { readCertificate } from '../apple/wire/x509.ts'
import { SimulatedDevice, type DeviceOptions } from './device.ts'
import type { DeviceMemory, Enrollment, Executed, Phase } from './device-memory.ts'
import type { DeviceState } from './device-state.ts'
import type { Hardware } from './hardware.ts'

/** A device as JSON. It holds the private key of its identity: keep it like one. */
export interface SavedDevice {
  version: 1
  hardware: Hardware
  state: DeviceState
  phase: Phase
  enrollment: {
    profile: string
    /** PKCS#8, DER in base64, like every string here. */
    key: string
    certificate: string
    pushToken: string
    pushMagic: string
    unlockToken?: string
    pendingReport?: SavedReport
  }
}

interface SavedReport {
  body: string
  executed: Omit<Executed, 'at'> & { at: string }
}

/** What `resumeDevice` needs. A copy: the device may go on meanwhile. */
export function saveDevice({ memory }: { memory: DeviceMemory }): SavedDevice {
  const { hardware, state, phase, enrollment } = memory
  return structuredClone({ version: 1, hardware, state, phase, enrollment: saveEnrollment(enrollment) })
}

/** The memory of a saved device. Throws for what `saveDevice` has not made. */
export function loadDevice({ hardware, state, phase, enrollment }: SavedDevice): DeviceMemory {
  const profileXml = base64(enrollment.profile)
  const key = createPrivateKey({ key: base64(enrollment.key), format: 'der', type: 'pkcs8' })
  const pending = enrollment.pendingReport
  return {
    hardware: structuredClone(hardware),
    state: structuredClone(state),
    phase,
    enrollment: {
      profileXml,
      profile: readEnrollmentProfile(profileXml),
      identity: { key, certificate: readCertificate(base64(enrollment.certificate)) },
      pushToken: base64(enrollment.pushToken),
      pushMagic: enrollment.pushMagic,
      ...(enrollment.unlockToken !== undefined && { unlockToken: base64(enrollment.unlockToken) }),
      ...(pending && { pendingReport: loadReport(pending) }),
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
  return device
}

function saveEnrollment(enrollment: Enrollment): SavedDevice['enrollment'] {
  const { profileXml, identity, pushToken, pushMagic, unlockToken, pendingReport: pending } = enrollment
  return {
    profile: profileXml.toString('base64'),
    key: identity.key.export({ format: 'der', type: 'pkcs8' }).toString('base64'),
    certificate: identity.certificate.der.toString('base64'),
    pushToken: pushToken.toString('base64'),
    pushMagic,
    ...(unlockToken && { unlockToken: unlockToken.toString('base64') }),
    ...(pending && { pendingReport: saveReport(pending) }),
  }
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
