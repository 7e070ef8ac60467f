import { hash } from 'node:crypto'
import { type DerValue, enter, finish, next, rawOf, TAG } from './der.ts'
import { integerBytes, octets, oidOf } from './der-types.ts'
import { WireError } from './error.ts'
import { OID } from './oids.ts'
import { publicKeyProblem } from './public-key.ts'
import { type Digest, verifySignature } from './signature.ts'
import {
  type Attributes,
  keyIdOf,
  oneValue,
  readAttributes,
  readSignedData,
  readSignerInfo,
  type SignedData,
  type SignerInfo,
} from './signed-data.ts'
import {
  type Certificate,
  MAX_CERTIFICATE_SIZE,
  MAX_DEVICE_CERTIFICATE_SIZE,
  readCertificate,
  readIssuerAndSerial,
} from './x509.ts'

const MAX_HEADER = 64 * 1024
const MAX_SIGNATURE = 8 * 1024
const SET_TAG = Buffer.from([TAG.set])

interface SignerRules {
  minimumRsaBits: number
  largestCertificate: number
}

const DEVICE: SignerRules = { minimumRsaBits: 2048, largestCertificate: MAX_DEVICE_CERTIFICATE_SIZE }
const APPLE_DEVICE: SignerRules = { minimumRsaBits: 1024, largestCertificate: MAX_DEVICE_CERTIFICATE_SIZE }
const ANYONE: SignerRules = { minimumRsaBits: 2048, largestCertificate: MAX_CERTIFICATE_SIZE }

/** Who signed: the holder of this certificate's key. Whether the certificate is ours is the reader's question. */
export interface Verified {
  certificate: Certificate
  digest: Digest
}

export interface VerifiedContent extends Verified {
  content: Buffer
  /** Empty when there are no signed attributes. */
  attributes: Attributes
}

/**
 * Verifies the CMS of an `Mdm-Signature` header over the exact bytes of the body: one signer, no content inside, at
 * most 16 certificates, SHA-1 or SHA-2, RSA of 2048 to 4096 bits or P-256/P-384, with or without signed attributes.
 * Apple "Managing certificates for MDM servers and devices"; RFC 5652 5.4 and 5.6.
 *
 * Throws `WireError`: 'asn1' (not readable, or over a limit), 'cms_shape' (readable but not such a signature),
 * 'weak_alg', 'digest_mismatch' (signed, but for another body), 'bad_signature'.
 */
export function verifyDetached(cms: Uint8Array, content: Uint8Array): Verified {
  const signed = readSignedData(cms)
  // A library that verified the content inside would take any signed thing for a signature of the body.
  if (signed.content) throw new WireError('cms_shape', 'content inside a detached signature')
  const { certificate, digest } = verifySigner(signed, content, DEVICE)
  return { certificate, digest }
}

/**
 * Verifies a CMS that carries its content (SCEP, OTA, MachineInfo), by the rules of `verifyDetached`. `appleDevice`
 * also accepts RSA of 1024 bits: the keys Apple puts into devices.
 */
export function verifyAttached(cms: Uint8Array, o: { appleDevice?: boolean } = {}): VerifiedContent {
  const signed = readSignedData(cms)
  if (!signed.content) throw new WireError('cms_shape', 'no content inside')
  const verified = verifySigner(signed, signed.content, o.appleDevice ? APPLE_DEVICE : ANYONE)
  return { ...verified, content: signed.content }
}

/** Decodes the value of an `Mdm-Signature` header: standard base64 and nothing else, at most 8 KB of CMS. */
export function decodeSignatureHeader(value: string): Buffer {
  if (value.length > MAX_HEADER) throw new WireError('cms_shape', 'header larger than 64 KiB')
  const cms = Buffer.from(value, 'base64')
  if (cms.length === 0 || cms.toString('base64') !== value) throw new WireError('cms_shape', 'header is not base64')
  if (cms.length > MAX_SIGNATURE) throw new WireError('cms_shape', 'signature larger than 8 KB')
  return cms
}

function verifySigner(signed: SignedData, content: Uint8Array, rules: SignerRules) {
  const [value, ...others] = signed.signers
  if (!value || others.length > 0) throw new WireError('cms_shape', `${signed.signers.length} signers`)
  const signer = readSignerInfo(value)
  const certificate = findCertificate(signed.certificates, signer.signerId, rules)
  const attributes: Attributes = signer.signedAttributes ? readAttributes(signer.signedAttributes) : new Map()
  const data = signer.signedAttributes ? signedBytes(signer, attributes, content) : plainBytes(content)
  checkAlgorithms(signer, certificate, rules)
  const genuine = verifySignature(signer.digest, data, certificate.publicKey, signer.signature)
  if (!genuine) throw new WireError('bad_signature')
  return { certificate, digest: signer.digest, attributes }
}

function findCertificate(certificates: Buffer[], id: DerValue, { largestCertificate }: SignerRules): Certificate {
  const matching = certificates.filter(matcher(id))
  const [der] = matching
  // Two that match are a clone beside the real one: no guess is right.
  if (!der || matching.length > 1) throw new WireError('cms_shape', `${matching.length} certificates match the signer`)
  if (der.length > largestCertificate) throw new WireError('asn1', 'certificate of the signer too large')
  return readCertificate(der)
}

function matcher(id: DerValue): (der: Buffer) => boolean {
  const keyId = keyIdOf(id)
  if (keyId) return (der) => readCertificate(der).subjectKeyId?.equals(keyId) ?? false
  const fields = enter(id, TAG.sequence)
  const issuer = rawOf(next(fields, TAG.sequence))
  const serial = integerBytes(next(fields))
  finish(fields)
  return (der) => {
    const found = readIssuerAndSerial(der)
    return found.serial.equals(serial) && found.issuer.equals(issuer)
  }
}

// The signature is over the attributes, and one of them is the digest of the content (RFC 5652 5.4).
function signedBytes(signer: SignerInfo, attributes: Attributes, content: Uint8Array): Buffer {
  const contentType = oidOf(oneValue(attributes, OID.contentType))
  if (contentType !== OID.data) throw new WireError('cms_shape', 'contentType is not data')
  const digest = octets(oneValue(attributes, OID.messageDigest))
  if (!digest.equals(hash(signer.digest, content, 'buffer'))) throw new WireError('digest_mismatch')
  return Buffer.concat([SET_TAG, rawOf(signer.signedAttributes as DerValue).subarray(1)])
}

function plainBytes(content: Uint8Array): Uint8Array {
  // A signature over attributes can be passed off as one over content that consists of those attributes, a DER SET.
  if (content[0] === TAG.set) throw new WireError('cms_shape', 'content looks like signed attributes')
  return content
}

function checkAlgorithms({ algorithm, digest }: SignerInfo, { publicKey }: Certificate, rules: SignerRules): void {
  const problem = publicKeyProblem(publicKey, rules.minimumRsaBits)
  if (problem) throw new WireError('weak_alg', problem)
  if (algorithm.digest && algorithm.digest !== digest) throw new WireError('cms_shape', 'two digest algorithms')
  if (algorithm.keyType !== publicKey.asymmetricKeyType) throw new WireError('bad_signature', 'other type of key')
}
