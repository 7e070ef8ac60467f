import { verifyAttached } from '../apple/wire/cms.ts'
import { openEnvelope } from '../apple/wire/cms-envelope.ts'
import type { Signer } from '../apple/wire/cms-sign.ts'
import { WireError } from '../apple/wire/error.ts'
import { decodePlist, plistDict, type PlistDict, type PlistValue } from '../apple/wire/plist.ts'
import { isPlistDict } from '../apple/wire/plist-value.ts'
import { errorItem, type ErrorItem } from './error-chain.ts'

/** A configuration profile on the device, without the settings it makes but for restrictions. Plain JSON. */
export interface InstalledProfile {
  identifier: string
  uuid: string
  version: number
  displayName?: string
  organization?: string
  description?: string
  removalDisallowed: boolean
  encrypted: boolean
  /** By MDM, not by hand. */
  managed: boolean
  /** DER in base64. */
  signers: string[]
  payloads: InstalledPayload[]
  /** Keys of its `com.apple.applicationaccess` payloads. */
  restrictions: Record<string, boolean | number>
  needsPasscode: boolean
}

export interface InstalledPayload {
  type: string
  identifier: string
  uuid: string
  version: number
  displayName?: string
  description?: string
  organization?: string
}

/** Why a profile was not installed, as the device reports it. */
export class ProfileRefused extends Error {
  override readonly name = 'ProfileRefused'
  readonly errorChain: ErrorItem[]

  constructor(code: number, reason: string) {
    super(reason)
    const failure = errorItem('MCInstallationErrorDomain', 4001, 'Profile Installation Failed')
    this.errorChain = [failure, errorItem('MCProfileErrorDomain', code, reason)]
  }
}

/** A profile read, and its XML without the signature. */
export interface ReadProfile {
  installed: InstalledProfile
  xml: Buffer
}

/**
 * Reads a configuration profile as it would be installed: XML, signed or not, encrypted to `identity` or not. Who
 * signed is not judged: iOS installs such profiles too. Throws ProfileRefused.
 */
export function readProfile(bytes: Buffer, identity: Signer, managed = true): ReadProfile {
  const { xml, signers } = unsigned(bytes)
  const dict = parsed(xml)
  const encrypted = dict['IsEncrypted'] === true
  const payloads = encrypted ? decrypted(dict['EncryptedPayloadContent'], identity) : dict['PayloadContent']
  const identifier = dict['PayloadIdentifier']
  if (dict['PayloadType'] !== 'Configuration') throw new ProfileRefused(1000, 'The profile is malformed.')
  if (typeof identifier !== 'string') throw missing('PayloadIdentifier')
  const list = payloadsOf(payloads)
  return {
    xml,
    installed: {
      ...names(dict), identifier, encrypted, managed, signers,
      uuid: required(dict, 'PayloadUUID'),
      version: versionOf(dict),
      removalDisallowed: dict['PayloadRemovalDisallowed'] === true,
      payloads: list.map(readPayload),
      restrictions: restrictionsOf(list),
      needsPasscode: list.some((payload) => payload['PayloadType'] === PASSCODE && payload['forcePIN'] === true),
    },
  }
}

/** Whether the profile brings MDM with it. */
export function hasMdmPayload({ payloads }: InstalledProfile): boolean {
  return payloads.some((payload) => payload.type === 'com.apple.mdm')
}

const PASSCODE = 'com.apple.mobiledevice.passwordpolicy'

function unsigned(bytes: Buffer): { xml: Buffer; signers: string[] } {
  // A SEQUENCE: no XML begins like that.
  if (bytes[0] !== 0x30) return { xml: bytes, signers: [] }
  try {
    const { content, certificate } = verifyAttached(bytes)
    return { xml: content, signers: [certificate.der.toString('base64')] }
  } catch (error) {
    throw refusal(error, 1004, 'The profile has a bad signature.')
  }
}

function parsed(xml: Buffer): PlistDict {
  try {
    return plistDict(decodePlist(xml))
  } catch (error) {
    throw refusal(error, 1000, 'The profile is malformed.')
  }
}

function decrypted(content: PlistValue | undefined, identity: Signer): PlistValue {
  if (!Buffer.isBuffer(content)) throw missing('EncryptedPayloadContent')
  try {
    return decodePlist(openEnvelope(content, identity).content)
  } catch (error) {
    throw refusal(error, 1006, 'The profile could not be decrypted.')
  }
}

function payloadsOf(content: PlistValue | undefined): PlistDict[] {
  if (!Array.isArray(content)) throw missing('PayloadContent')
  if (content.length === 0) throw new ProfileRefused(1005, 'The profile is empty.')
  if (!content.every(isPlistDict)) throw new ProfileRefused(1003, 'The field “PayloadContent” has a bad type.')
  const uuids = new Set(content.map((payload) => payload['PayloadUUID']))
  if (uuids.size < content.length) throw new ProfileRefused(1007, 'The profile has non-unique UUIDs.')
  return content
}

function readPayload(payload: PlistDict): InstalledPayload {
  return {
    ...names(payload),
    type: required(payload, 'PayloadType'),
    identifier: required(payload, 'PayloadIdentifier'),
    uuid: required(payload, 'PayloadUUID'),
    version: versionOf(payload),
  }
}

function restrictionsOf(payloads: PlistDict[]): Record<string, boolean | number> {
  const restricting = payloads.filter((payload) => payload['PayloadType'] === 'com.apple.applicationaccess')
  const isOwn = (entry: [string, PlistValue]): entry is [string, boolean | number] => (
    !entry[0].startsWith('Payload') && (typeof entry[1] === 'boolean' || typeof entry[1] === 'number')
  )
  return Object.fromEntries(restricting.flatMap((payload) => Object.entries(payload)).filter(isOwn))
}

function names(dict: PlistDict): Pick<InstalledProfile, 'displayName' | 'organization' | 'description'> {
  const { PayloadDisplayName: displayName, PayloadOrganization: organization, PayloadDescription: description } = dict
  return {
    ...(typeof displayName === 'string' && { displayName }),
    ...(typeof organization === 'string' && { organization }),
    ...(typeof description === 'string' && { description }),
  }
}

function versionOf(dict: PlistDict): number {
  if (dict['PayloadVersion'] !== 1) throw new ProfileRefused(1001, 'The profile has an unsupported version.')
  return 1
}

function required(dict: PlistDict, key: string): string {
  const value = dict[key]
  if (typeof value !== 'string') throw missing(key)
  return value
}

function missing(key: string): ProfileRefused {
  return new ProfileRefused(1002, `The profile is missing the required field “${key}”.`)
}

// Only what bytes from outside can cause; anything else is a bug of ours and stays one.
function refusal(error: unknown, code: number, reason: string): unknown {
  return error instanceof WireError ? new ProfileRefused(code, reason) : error
}
