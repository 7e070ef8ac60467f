import { hash, type KeyObject } from 'node:crypto'
import { explicitTag, TAG } from './der.ts'
import * as der from './der-writer.ts'
import { OID } from './oids.ts'
import { makeSignature, signatureAlgorithm } from './signature.ts'
import { type Certificate, readIssuerAndSerial } from './x509.ts'

/** A certificate and its private key, RSA or EC. */
export interface Signer {
  certificate: Certificate
  key: KeyObject
}

/** `chain` rides along; `attributes` are further signed ones, each an OID and the DER of its one value. */
export interface SignOptions {
  chain?: Certificate[]
  attributes?: [string, Buffer][]
  signingTime?: Date
}

/**
 * Signs and carries the content: a DER CMS SignedData (RFC 5652) with SHA-256 and signed attributes, as profiles need
 * it.
 */
export function signAttached(content: Uint8Array, signer: Signer, o: SignOptions = {}): Buffer {
  return signedData(content, signer, o, [der.explicit(0, der.octetString(content))])
}

/** Signs without carrying the content; otherwise like `signAttached`. */
export function signDetached(content: Uint8Array, signer: Signer, o: SignOptions = {}): Buffer {
  return signedData(content, signer, o, [])
}

/**
 * Signs as an iPhone does for `Mdm-Signature`: detached, BER with indefinite lengths, SHA-1, no signed attributes.
 * For the simulator and for tests; nothing the server says is signed like this.
 */
export function signDetachedLikeIos(content: Uint8Array, signer: Signer): Buffer {
  const digest = der.sequence(der.oid(OID.sha1), der.nullValue)
  const signature = der.octetString(makeSignature(content, signer.key, 'sha1'))
  const algorithm = signatureAlgorithm(signer.key, 'sha1')
  const signerInfo = der.sequence(der.integer(1), signerId(signer), digest, algorithm, signature)
  const signed = indefinite(
    TAG.sequence,
    der.integer(1),
    der.setOf(digest),
    indefinite(TAG.sequence, der.oid(OID.data)),
    der.explicit(0, signer.certificate.der),
    der.setOf(signerInfo),
  )
  return indefinite(TAG.sequence, der.oid(OID.signedData), indefinite(explicitTag(0), signed))
}

/** A SignedData that signs nothing and only carries certificates, in this order (RFC 8894 4.2.1). */
export function certificatesOnly(certificates: Certificate[]): Buffer {
  const carried = der.explicit(0, ...certificates.map((certificate) => certificate.der))
  return contentInfo(der.sequence(der.integer(1), der.setOf(), der.sequence(der.oid(OID.data)), carried, der.setOf()))
}

function signedData(content: Uint8Array, signer: Signer, o: SignOptions, carried: Buffer[]): Buffer {
  const digest = der.sequence(der.oid(OID.sha256), der.nullValue)
  const attributes = signedAttributes(content, o)
  const signature = der.octetString(makeSignature(attributes, signer.key))
  // Signed as a SET, sent as [0] IMPLICIT: the same bytes under another tag.
  const sent = Buffer.concat([Buffer.from([explicitTag(0)]), attributes.subarray(1)])
  // Plain rsaEncryption, with the digest named beside it, is what every reader of PKCS#7 knows.
  const isEc = signer.key.asymmetricKeyType === 'ec'
  const algorithm = isEc ? signatureAlgorithm(signer.key) : der.sequence(der.oid(OID.rsaEncryption), der.nullValue)
  const signerInfo = der.sequence(der.integer(1), signerId(signer), digest, sent, algorithm, signature)
  const certificates = [signer.certificate, ...(o.chain ?? [])].map((certificate) => certificate.der)
  const encapsulated = der.sequence(der.oid(OID.data), ...carried)
  const carrying = der.explicit(0, ...certificates)
  return contentInfo(der.sequence(der.integer(1), der.setOf(digest), encapsulated, carrying, der.setOf(signerInfo)))
}

function signedAttributes(content: Uint8Array, { attributes = [], signingTime }: SignOptions): Buffer {
  const all: [string, Buffer][] = [
    [OID.contentType, der.oid(OID.data)],
    [OID.messageDigest, der.octetString(hash('sha256', content, 'buffer'))],
    ...(signingTime ? [[OID.signingTime, der.time(signingTime)] as [string, Buffer]] : []),
    ...attributes,
  ]
  return der.setOf(...all.map(([name, value]) => der.sequence(der.oid(name), der.setOf(value))))
}

function signerId({ certificate }: Signer): Buffer {
  const { issuer, serial } = readIssuerAndSerial(certificate.der)
  return der.sequence(issuer, der.tlv(TAG.integer, serial))
}

function contentInfo(signed: Buffer): Buffer {
  return der.sequence(der.oid(OID.signedData), der.explicit(0, signed))
}

function indefinite(tag: number, ...parts: Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.from([tag, 0x80]), ...parts, Buffer.from([0, 0])])
}
