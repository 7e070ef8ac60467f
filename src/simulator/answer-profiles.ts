import { readEnrollmentProfile } from '../apple/wire/mobileconfig.ts'
import { WireError } from '../apple/wire/error.ts'
import type { EncodableDict } from '../apple/wire/plist-writer.ts'
import { readCertificate } from '../apple/wire/x509.ts'
import { acknowledged, badFormat, failed, stringOf, type Answer, type AnswerFunction } from './answer.ts'
import { rightsOf, type DeviceMemory, type UserChannel } from './device-memory.ts'
import { errorItem, malformedRequest } from './error-chain.ts'
import {
  hasMdmPayload, ProfileRefused, readProfile, type InstalledPayload, type InstalledProfile,
} from './installed-profile.ts'

/** Every profile, the enrollment profile first; with `ManagedOnly` those that MDM installed. */
export const profileList: AnswerFunction = ({ state }, command, _now, user) => {
  const { profiles } = user ?? state
  const listed = command['ManagedOnly'] === true ? profiles.filter((profile) => profile.managed) : profiles
  return acknowledged({ ProfileList: listed.map(profileEntry) })
}

/**
 * Installs, or replaces the one with the same identifier; from the channel of a user, in that user's scope. A profile with
 * MDM updates the enrollment.
 */
export const installProfile: AnswerFunction = (phone, command, _now, user) => {
  const payload = command['Payload']
  if (!Buffer.isBuffer(payload)) return badFormat(malformedRequest('InstallProfile', 'Payload'))
  try {
    const { installed, xml } = readProfile(payload, phone.enrollment.identity)
    if (hasMdmPayload(installed)) return user ? failed(notForUsers()) : updateEnrollment(phone, xml)
    putProfile(user ?? phone.state, installed)
    return acknowledged()
  } catch (error) {
    if (error instanceof ProfileRefused) return failed(...error.errorChain)
    throw error
  }
}

/** Removes what MDM installed; asked for the enrollment profile itself, the device leaves. */
export const removeProfile: AnswerFunction = ({ state, enrollment }, command, _now, user) => {
  const identifier = stringOf(command['Identifier'])
  if (identifier === undefined) return badFormat(malformedRequest('RemoveProfile', 'Identifier'))
  if (!user && identifier === enrollment.profile.identifier) return acknowledged(undefined, { kind: 'unenroll' })
  const scope = user ?? state
  const found = scope.profiles.find((profile) => profile.identifier === identifier)
  if (!found) {
    return failed(
      errorItem('MCMDMErrorDomain', 12075, `The profile “${identifier}” is not installed.`),
      errorItem('MCInstallationErrorDomain', 4024, 'The profile was not found.'),
    )
  }
  if (!found.managed) {
    return failed(errorItem('MCMDMErrorDomain', 12013, `The profile “${identifier}” is not managed.`))
  }
  scope.profiles = scope.profiles.filter((profile) => profile !== found)
  return acknowledged()
}

/** The identity, and the roots that came with the enrollment profile. */
export const certificateList: AnswerFunction = ({ enrollment }) => {
  const roots = enrollment.profile.roots.map((der) => ({ certificate: readCertificate(der), isIdentity: false }))
  const all = [{ certificate: enrollment.identity.certificate, isIdentity: true }, ...roots]
  return acknowledged({
    CertificateList: all.map(({ certificate, isIdentity }) => (
      { CommonName: certificate.commonName ?? '', Data: certificate.der, IsIdentity: isIdentity }
    )),
  })
}

/** Replaces the profile with the same identifier, in its place, or adds this one. */
export function putProfile({ profiles }: Pick<UserChannel, 'profiles'>, installed: InstalledProfile): void {
  const at = profiles.findIndex((profile) => profile.identifier === installed.identifier)
  if (at >= 0) profiles[at] = installed
  else profiles.push(installed)
}

function notForUsers() {
  return errorItem('MCMDMErrorDomain', 12012, 'The MDM payload belongs to the device, not to a user.')
}

// Apple, MDM payload: an update may change neither topic nor URLs, and rights may only shrink.
function updateEnrollment(phone: DeviceMemory, profileXml: Buffer): Answer {
  const before = phone.enrollment.profile
  const after = readOrRefuse(profileXml)
  const same = (['identifier', 'topic', 'serverUrl', 'checkInUrl'] as const).every((key) => before[key] === after[key])
  if (!same) return failed(errorItem('MCMDMErrorDomain', 12012, 'The new MDM payload does not match the old payload.'))
  const grown = ((after.accessRights ?? rightsOf(phone)) & ~rightsOf(phone)) !== 0
  if (grown) return failed(errorItem('MCMDMErrorDomain', 12000, 'The new MDM payload asks for more access rights.'))
  return acknowledged(undefined, { kind: 'update_enrollment', profileXml })
}

function readOrRefuse(profileXml: Buffer) {
  try {
    return readEnrollmentProfile(profileXml)
  } catch (error) {
    throw error instanceof WireError ? new ProfileRefused(1002, 'The MDM payload is missing a required field.') : error
  }
}

function profileEntry(profile: InstalledProfile): EncodableDict {
  return {
    HasRemovalPasscode: false,
    IsEncrypted: profile.encrypted,
    IsManaged: profile.managed,
    PayloadContent: profile.payloads.map(payloadEntry),
    PayloadDescription: profile.description,
    PayloadDisplayName: profile.displayName,
    PayloadIdentifier: profile.identifier,
    PayloadOrganization: profile.organization,
    PayloadRemovalDisallowed: profile.removalDisallowed,
    PayloadUUID: profile.uuid,
    PayloadVersion: profile.version,
    SignerCertificates: profile.signers.map((der) => Buffer.from(der, 'base64')),
  }
}

function payloadEntry(payload: InstalledPayload): EncodableDict {
  return {
    PayloadDescription: payload.description,
    PayloadDisplayName: payload.displayName,
    PayloadIdentifier: payload.identifier,
    PayloadOrganization: payload.organization,
    PayloadType: payload.type,
    PayloadUUID: payload.uuid,
    PayloadVersion: payload.version,
  }
}
