import { hash, type KeyObject } from 'node:crypto'
import { enter, next, readDer, TAG } from './der.ts'
import { bitStringBytes } from './der-types.ts'
import * as der from './der-writer.ts'
import { OID } from './oids.ts'
import { readPublicKey } from './public-key.ts'
import { makeSignature, signatureAlgorithm } from './signature.ts'
import { type SubjectAltName, subjectAltNames } from './subject-alt-names.ts'
import { type Certificate, KEY_USAGE } from './x509.ts'

/** What a certificate is for. `ra` opens and signs SCEP messages; `client` proves something else than a device. */
export type CertificateProfile = 'ca' | 'device' | 'ra' | 'server' | 'profile_signer' | 'client'

/** Another certificate's key signs, or the certificate's own. */
export type CertificateIssuer = { certificate: Certificate; key: KeyObject } | { selfSigned: KeyObject }

/** What `issueCertificate` writes. Time and serial number come from the caller. */
export interface CertificateRequest {
  subject: Buffer
  spki: Buffer
  /** 16 to 20 random bytes, read as a positive number. */
  serialNumber: Buffer
  notBefore: Date
  notAfter: Date
  issuer: CertificateIssuer
  profile: CertificateProfile
  subjectAltNames?: SubjectAltName[]
}

const PURPOSES: Record<CertificateProfile, readonly string[]> = {
  ca: [],
  device: [OID.clientAuth],
  ra: [],
  server: [OID.serverAuth],
  profile_signer: [],
  client: [OID.clientAuth],
}

/**
 * Issues an X.509 v3 certificate from our own template (RFC 5280): nothing of a request but subject and key, and both
 * are the caller's choice. Signed with SHA-256. A CA may issue end certificates only (path length 0). Returns the
 * DER.
 */
export function issueCertificate(request: CertificateRequest): Buffer {
  const { issuer } = request
  const key = 'selfSigned' in issuer ? issuer.selfSigned : issuer.key
  const issuerName = 'selfSigned' in issuer ? request.subject : issuer.certificate.subject
  const algorithm = signatureAlgorithm(key)
  const tbs = der.sequence(
    der.explicit(0, der.integer(2)),
    serialNumber(request.serialNumber),
    algorithm,
    issuerName,
    der.sequence(der.time(request.notBefore), der.time(request.notAfter)),
    request.subject,
    request.spki,
    der.explicit(3, der.sequence(...extensions(request))),
  )
  return der.sequence(tbs, algorithm, der.bitString(makeSignature(tbs, key)))
}

function extensions(request: CertificateRequest): Buffer[] {
  const { profile, issuer, spki, subjectAltNames: names } = request
  const isCa = profile === 'ca'
  const purposes = PURPOSES[profile]
  const keyId = keyIdentifier(spki)
  const issuerKeyId = 'selfSigned' in issuer ? keyId : keyIdentifierOf(issuer.certificate)
  return [
    extension(OID.basicConstraints, true, isCa ? der.sequence(der.boolean(true), der.integer(0)) : der.sequence()),
    extension(OID.keyUsage, true, der.namedBitString(keyUsage(request))),
    ...(purposes.length > 0 ? [extension(OID.extendedKeyUsage, false, der.sequence(...purposes.map(der.oid)))] : []),
    ...(names ? [extension(OID.subjectAltName, false, subjectAltNames(names))] : []),
    extension(OID.subjectKeyIdentifier, false, der.octetString(keyId)),
    extension(OID.authorityKeyIdentifier, false, der.sequence(der.implicit(0, issuerKeyId))),
  ]
}

function keyUsage({ profile, spki }: CertificateRequest): number {
  if (profile === 'ca') return KEY_USAGE.keyCertSign | KEY_USAGE.crlSign
  const encrypts = profile !== 'profile_signer' && readPublicKey(spki).asymmetricKeyType === 'rsa'
  return KEY_USAGE.digitalSignature | (encrypts ? KEY_USAGE.keyEncipherment : 0)
}

function serialNumber(bytes: Buffer): Buffer {
  const number = der.integer(bytes)
  // RFC 5280 4.1.2.2 allows 20 octets, the sign among them.
  if (bytes.length < 16 || number.length - 2 > 20) throw new RangeError('a serial number is 16 to 20 bytes')
  return number
}

function extension(name: string, critical: boolean, value: Buffer): Buffer {
  return der.sequence(der.oid(name), ...(critical ? [der.boolean(true)] : []), der.octetString(value))
}

function keyIdentifierOf({ subjectKeyId, spki }: Certificate): Buffer {
  return subjectKeyId ?? keyIdentifier(spki)
}

// RFC 5280 4.2.1.2 (1): SHA-1 of the key bits. An identifier for look-up, not a proof.
function keyIdentifier(spki: Buffer): Buffer {
  const info = enter(readDer(spki), TAG.sequence)
  next(info)
  return hash('sha1', bitStringBytes(next(info)), 'buffer')
}
