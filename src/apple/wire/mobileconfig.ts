import { createHash } from 'node:crypto'
import { checkAccessRights } from './access-rights.ts'
import { WireError } from './error.ts'
import { encodePlist, type EncodableDict } from './plist-writer.ts'
import { isMdmTopic } from './topic.ts'

export { ACCESS_RIGHTS, checkAccessRights, type AccessRight } from './access-rights.ts'
export { readEnrollmentProfile, type EnrollmentProfile } from './mobileconfig-reader.ts'

/**
 * What an enrollment profile says. `identifier` is stable, in reverse DNS: a profile with the same one replaces the
 * former. The three UUIDs are of the profile and its MDM and SCEP payloads; a new identity needs a new `scepUuid`.
 * The server's URLs are https (http on loopback, for simulated devices only).
 */
export interface EnrollmentProfileOptions {
  identifier: string
  uuid: string
  mdmUuid: string
  scepUuid: string
  displayName: string
  organization: string
  description: string
  /** The device shows it as a question before it installs. */
  consentText?: string | undefined
  serverUrl: string
  /** Where check-in messages go; without it, to `serverUrl`. */
  checkInUrl?: string | undefined
  topic: string
  accessRights: number
  /** Such as `com.apple.mdm.per-user-connections`; that one can never be changed by an update. */
  serverCapabilities?: readonly string[] | undefined
  scep: ScepOptions
  /** DER certificates the device shall trust; they stand first, so that they do before it calls the server. */
  trustRoots?: readonly Uint8Array[] | undefined
  /** Has an effect on supervised devices only. */
  removalDisallowed?: boolean | undefined
}

/** Where and how the device gets its identity. `subject` lists attributes such as `['CN', '…']`, one for each RDN. */
export interface ScepOptions {
  url: string
  name: string
  challenge: string
  subject: readonly (readonly [string, string])[]
  keySize?: 2048 | 4096 | undefined
  /** Digest of the CA certificate, which the device compares with what GetCACert gives. */
  caFingerprint?: Uint8Array | undefined
}

/**
 * The unsigned profile that brings a device under management (Apple: Configuration Profile, MDM, SCEP payloads). Throws
 * WireError 'access_rights', 'topic' or 'url' for what devices refuse, and what `encodePlist` throws.
 */
export function enrollmentProfile(o: EnrollmentProfileOptions): Buffer {
  return encodePlist({
    PayloadContent: [...(o.trustRoots ?? []).map((der) => rootPayload(o, der)), scepPayload(o), mdmPayload(o)],
    PayloadDescription: o.description,
    PayloadDisplayName: o.displayName,
    PayloadIdentifier: o.identifier,
    PayloadOrganization: o.organization,
    PayloadRemovalDisallowed: o.removalDisallowed,
    PayloadScope: 'System',
    PayloadType: 'Configuration',
    PayloadUUID: o.uuid,
    PayloadVersion: 1,
    ConsentText: o.consentText === undefined ? undefined : { default: o.consentText },
  })
}

function mdmPayload(o: EnrollmentProfileOptions): EncodableDict {
  return {
    ...payload('com.apple.mdm', `${o.identifier}.mdm`, o.mdmUuid, o.displayName),
    AccessRights: validRights(o.accessRights),
    CheckInURL: o.checkInUrl === undefined ? undefined : https(o.checkInUrl),
    CheckOutWhenRemoved: true,
    IdentityCertificateUUID: o.scepUuid,
    ServerCapabilities: o.serverCapabilities,
    ServerURL: https(o.serverUrl),
    SignMessage: true,
    Topic: validTopic(o.topic),
  }
}

// Two of the names have a space, and Keysize has a small s. Without Keysize the device makes a key of 1024 bits.
function scepPayload({ identifier, scepUuid, scep }: EnrollmentProfileOptions): EncodableDict {
  return {
    ...payload('com.apple.security.scep', `${identifier}.scep`, scepUuid, scep.name),
    PayloadContent: {
      CAFingerprint: scep.caFingerprint,
      Challenge: scep.challenge,
      'Key Type': 'RSA',
      'Key Usage': 5,
      Keysize: scep.keySize ?? 2048,
      Name: scep.name,
      Retries: 3,
      RetryDelay: 10,
      Subject: scep.subject.map((attribute) => [attribute]),
      URL: scep.url,
    },
  }
}

function rootPayload({ identifier, uuid, organization }: EnrollmentProfileOptions, der: Uint8Array): EncodableDict {
  const id = derivedUuid(uuid, der)
  return {
    ...payload('com.apple.security.root', `${identifier}.root.${id}`, id, `${organization} CA`),
    PayloadContent: der,
  }
}

function payload(type: string, identifier: string, uuid: string, displayName: string): EncodableDict {
  return {
    PayloadDisplayName: displayName,
    PayloadIdentifier: identifier,
    PayloadType: type,
    PayloadUUID: uuid,
    PayloadVersion: 1,
  }
}

/** RFC 9562 version 8: unique to this profile and certificate, and the same each time. */
function derivedUuid(profileUuid: string, der: Uint8Array): string {
  const hash = createHash('sha256').update(profileUuid).update(der).digest()
  hash.writeUInt8((hash.readUInt8(6) & 0x0F) | 0x80, 6)
  hash.writeUInt8((hash.readUInt8(8) & 0x3F) | 0x80, 8)
  const hex = hash.toString('hex', 0, 16).toUpperCase()
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

function validRights(rights: number): number {
  const reason = checkAccessRights(rights)
  if (reason !== undefined) throw new WireError('access_rights', reason)
  return rights
}

function validTopic(topic: string): string {
  if (!isMdmTopic(topic)) throw new WireError('topic', 'an MDM topic begins with com.apple.mgmt.')
  return topic
}

// Apple's devices take https only. A simulated one on this machine may do without.
const LOOPBACK = /^http:\/\/(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?\//

function https(url: string): string {
  if (!url.startsWith('https://') && !LOOPBACK.test(url)) throw new WireError('url', 'devices accept only https URLs')
  return url
}
