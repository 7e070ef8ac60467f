import {
  contentOf,
  type DerCursor,
  type DerValue,
  enter,
  explicitTag,
  finish,
  implicitTag,
  next,
  nextIf,
  rawOf,
  readDer,
  rest,
  TAG,
} from './der.ts'
import { octets, oidOf, smallInteger } from './der-types.ts'
import { toDer } from './ber.ts'
import { WireError } from './error.ts'
import { OID } from './oids.ts'
import { type Digest, readDigestAlgorithm, readSignatureAlgorithm, type SignatureAlgorithm } from './signature.ts'

const MAX_CERTIFICATES = 16
const MAX_ATTRIBUTES = 32

/** A CMS SignedData (RFC 5652 5.1), taken apart and not yet believed. */
export interface SignedData {
  /** Undefined when the signature is detached. */
  content: Buffer | undefined
  /** DER of each certificate, in the order of the message; at most 16. */
  certificates: Buffer[]
  signers: DerValue[]
}

/** One SignerInfo (RFC 5652 5.3). */
export interface SignerInfo {
  /** How the signer's certificate is named: issuer and serial number, or its key identifier. */
  signerId: DerValue
  digest: Digest
  signedAttributes: DerValue | undefined
  algorithm: SignatureAlgorithm
  signature: Buffer
}

/** Signed attributes by OID; every attribute has at least one value. */
export type Attributes = ReadonlyMap<string, DerValue[]>

/**
 * Takes a SignedData apart; DER, or BER as iPhones send it. Throws `WireError`: 'asn1', or 'cms_shape' for another
 * CMS type.
 */
export function readSignedData(cms: Uint8Array): SignedData {
  const contentInfo = enter(readDer(toDer(cms)), TAG.sequence)
  if (oidOf(next(contentInfo)) !== OID.signedData) throw new WireError('cms_shape', 'not a SignedData')
  const wrapper = enter(next(contentInfo), explicitTag(0))
  finish(contentInfo)
  const fields = enter(next(wrapper), TAG.sequence)
  finish(wrapper)
  smallInteger(next(fields))
  rest(enter(next(fields), TAG.set), MAX_CERTIFICATES)
  const content = readContent(enter(next(fields), TAG.sequence))
  const certificates = readCertificateSet(nextIf(fields, explicitTag(0)))
  nextIf(fields, explicitTag(1))
  const signers = rest(enter(next(fields), TAG.set), MAX_CERTIFICATES)
  finish(fields)
  return { content, certificates, signers }
}

/** Takes a SignerInfo apart. Algorithms we do not accept are `WireError('weak_alg')`. */
export function readSignerInfo(value: DerValue): SignerInfo {
  const fields = enter(value, TAG.sequence)
  smallInteger(next(fields))
  const signerId = next(fields)
  const digest = readDigestAlgorithm(next(fields))
  const signedAttributes = nextIf(fields, explicitTag(0))
  const algorithm = readSignatureAlgorithm(next(fields))
  const signature = octets(next(fields))
  nextIf(fields, explicitTag(1))
  finish(fields)
  return { signerId, digest, signedAttributes, algorithm, signature }
}

/** Reads signed attributes. The same attribute twice is `WireError('cms_shape')`. */
export function readAttributes(value: DerValue): Attributes {
  const found = new Map<string, DerValue[]>()
  for (const attribute of rest(enter(value, value.tag), MAX_ATTRIBUTES)) {
    const fields = enter(attribute, TAG.sequence)
    const name = oidOf(next(fields))
    const values = rest(enter(next(fields), TAG.set), MAX_ATTRIBUTES)
    finish(fields)
    if (found.has(name) || values.length === 0) throw new WireError('cms_shape', 'signed attribute twice or empty')
    found.set(name, values)
  }
  return found
}

/** The value of an attribute that must be there once. */
export function oneValue(attributes: Attributes, name: string): DerValue {
  const [value, ...others] = attributes.get(name) ?? []
  if (!value || others.length > 0) throw new WireError('cms_shape', `signed attribute ${name} is not there once`)
  return value
}

/** The key identifier in a signer or recipient identifier, if that is how it names the certificate. */
export function keyIdOf(id: DerValue): Buffer | undefined {
  return id.tag === implicitTag(0) ? contentOf(id) : undefined
}

function readContent(fields: DerCursor): Buffer | undefined {
  // RFC 8894 and Apple's messages carry plain data; anything else would be signed under other rules.
  if (oidOf(next(fields)) !== OID.data) throw new WireError('cms_shape', 'content is not data')
  const wrapper = nextIf(fields, explicitTag(0))
  finish(fields)
  if (!wrapper) return undefined
  const inside = enter(wrapper, explicitTag(0))
  const content = octets(next(inside))
  finish(inside)
  return content
}

function readCertificateSet(set: DerValue | undefined): Buffer[] {
  if (!set) return []
  const certificates = rest(enter(set, explicitTag(0)), MAX_CERTIFICATES)
  if (certificates.some(({ tag }) => tag !== TAG.sequence)) throw new WireError('cms_shape', 'not an X.509 certificate')
  return certificates.map(rawOf)
}
