import { hash, type KeyObject } from 'node:crypto'
import { type DerValue, enter, explicitTag, finish, implicitTag, next, nextIf, rawOf, readDer, TAG } from './der.ts'
import { bitStringBytes, integerBytes, timeOf } from './der-types.ts'
import { WireError } from './error.ts'
import { publicKeyOf, publicKeyProblem } from './public-key.ts'
import { findSignatureAlgorithm, verifySignature } from './signature.ts'
import { type CertificateExtensions, readExtensions } from './x509-extensions.ts'
import { checkName, findNamePart, nameParts } from './x509-name.ts'

export { KEY_USAGE } from './x509-extensions.ts'
export { distinguishedName, nameParts } from './x509-name.ts'
export { publicKeyProblem } from './public-key.ts'

/** The largest certificate read at all, in bytes of DER. */
export const MAX_CERTIFICATE_SIZE = 16 * 1024

/** The largest certificate a device may show, in bytes of DER; real ones have about 1 KB. */
export const MAX_DEVICE_CERTIFICATE_SIZE = 4 * 1024

/**
 * An X.509 certificate (RFC 5280), read but not judged: who signed it, whether it is alive and what it may be used for
 * is for the reader to ask. `sha256` is over the exact DER and the only safe name for it.
 */
export interface Certificate extends CertificateExtensions {
  der: Buffer
  sha256: Buffer
  /** Lower-case hexadecimal, without the sign byte. */
  serialNumber: string
  /** DER of the Names, to be compared byte by byte. */
  issuer: Buffer
  subject: Buffer
  /** DER of the SubjectPublicKeyInfo. */
  spki: Buffer
  notBefore: Date
  notAfter: Date
  /** The first CN of the subject. */
  commonName?: string
  /** The first UID (0.9.2342.19200300.100.1.1) of the subject: the topic of an Apple push certificate. */
  userId?: string
  /** Decoded on first use and cached; throws `WireError('weak_alg' | 'asn1')` if it is no RSA or EC key. */
  readonly publicKey: KeyObject
}

/** Reads one DER certificate of at most 16 KB. Anything else is `WireError('asn1')`. */
export function readCertificate(bytes: Uint8Array): Certificate {
  if (bytes.length > MAX_CERTIFICATE_SIZE) throw new WireError('asn1', 'certificate larger than 16 KB')
  // A copy: the certificate must not change, nor keep the message alive it came in.
  const der = Buffer.from(bytes)
  const { serial, issuer, notBefore, notAfter, subject, spki, extensions } = readFields(der)
  const sha256 = hash('sha256', der, 'buffer')
  const parts = nameParts(subject)
  const commonName = findNamePart(parts, 'CN')
  const userId = findNamePart(parts, 'UID')
  return {
    der, sha256, serialNumber: hexOfInteger(serial), issuer, subject, spki, notBefore, notAfter,
    ...readExtensions(extensions),
    ...(commonName !== undefined && { commonName }),
    ...(userId !== undefined && { userId }),
    get publicKey() {
      return publicKeyOf(sha256, spki)
    },
  }
}

/** Throws `WireError('asn1')` for a certificate larger than a device may show (4 KB). */
export function checkDeviceCertificateSize(certificate: Certificate): void {
  const { length } = certificate.der
  if (length > MAX_DEVICE_CERTIFICATE_SIZE) throw new WireError('asn1', 'device certificate larger than 4 KB')
}

/**
 * Whether `issuer` signed this certificate: the names meet, its key is one we trust, the signature holds. A name
 * alone proves nothing. Says nothing about time, purpose or whether the issuer is a CA.
 *
 * `appleDevice` also accepts SHA-1 and RSA of 1024 bits: the Apple iPhone Device CA, whose key is pinned, has no
 * better.
 */
export function isSignedBy(
  certificate: Certificate,
  issuer: Pick<Certificate, 'subject' | 'publicKey'>,
  o: { appleDevice?: boolean } = {},
): boolean {
  if (!certificate.issuer.equals(issuer.subject)) return false
  if (publicKeyProblem(issuer.publicKey, o.appleDevice ? 1024 : 2048)) return false
  const { tbs, algorithm, signature } = readFields(certificate.der)
  const { digest, keyType } = findSignatureAlgorithm(algorithm) ?? {}
  if (!digest || (digest === 'sha1' && !o.appleDevice) || keyType !== issuer.publicKey.asymmetricKeyType) return false
  return verifySignature(digest, rawOf(tbs), issuer.publicKey, signature)
}

/** Issuer and serial number of a certificate, as a CMS message refers to it; nothing else of it is read. */
export function readIssuerAndSerial(der: Buffer): { issuer: Buffer; serial: Buffer } {
  const tbs = enter(next(enter(readDer(der), TAG.sequence)), TAG.sequence)
  nextIf(tbs, explicitTag(0))
  const serial = integerBytes(next(tbs))
  next(tbs, TAG.sequence)
  return { serial, issuer: rawOf(next(tbs, TAG.sequence)) }
}

interface Fields {
  tbs: DerValue
  serial: Buffer
  issuer: Buffer
  notBefore: Date
  notAfter: Date
  subject: Buffer
  spki: Buffer
  extensions: DerValue | undefined
  algorithm: DerValue
  signature: Buffer
}

function readFields(der: Buffer): Fields {
  const certificate = enter(readDer(der), TAG.sequence)
  const tbs = next(certificate, TAG.sequence)
  const algorithm = next(certificate, TAG.sequence)
  const signature = bitStringBytes(next(certificate))
  finish(certificate)
  const fields = readSigned(tbs)
  // RFC 5280 4.1.1.2: the algorithm outside the signed part must be the one inside it.
  if (!rawOf(algorithm).equals(fields.signedAlgorithm)) throw new WireError('asn1', 'two signature algorithms')
  return { tbs, algorithm, signature, ...fields }
}

function readSigned(tbs: DerValue) {
  const fields = enter(tbs, TAG.sequence)
  nextIf(fields, explicitTag(0))
  const serial = integerBytes(next(fields))
  const signedAlgorithm = rawOf(next(fields, TAG.sequence))
  const issuer = checkName(rawOf(next(fields)))
  const validity = enter(next(fields), TAG.sequence)
  const [notBefore, notAfter] = [timeOf(next(validity)), timeOf(next(validity))]
  finish(validity)
  const subject = checkName(rawOf(next(fields)))
  const spki = rawOf(next(fields, TAG.sequence))
  nextIf(fields, implicitTag(1))
  nextIf(fields, implicitTag(2))
  const extensions = nextIf(fields, explicitTag(3))
  finish(fields)
  return { serial, signedAlgorithm, issuer, notBefore, notAfter, subject, spki, extensions }
}

function hexOfInteger(bytes: Buffer): string {
  return bytes.subarray(bytes.length > 1 && bytes[0] === 0 ? 1 : 0).toString('hex')
}
