import { hash, type KeyObject, sign } from 'node:crypto'
import * as der from '../../../src/apple/wire/der-writer.ts'
import { OID } from '../../../src/apple/wire/oids.ts'
import { readIssuerAndSerial } from '../../../src/apple/wire/x509.ts'
import type { Identity } from './pki.ts'

/** What is wrong with a detached SignedData; everything left out is as it should be. */
export interface Forgery {
  signers?: number
  content?: Buffer
  certificates?: Buffer[]
  contentType?: string
  outerType?: string
  attributes?: boolean
  messageDigest?: Buffer
  secondDigest?: Buffer
  attributeType?: string
  without?: string
  extra?: [string, Buffer]
  emptyAttributes?: boolean
  digestName?: string
  signatureAlgorithm?: [string, ...Buffer[]]
  signingKey?: KeyObject
  signature?: Buffer
}

/**
 * A SignedData over `body` with SHA-256 whose every field can be made wrong, and which is signed over what it then
 * says.
 */
export function forgeCms(signer: Identity, body: Buffer, forgery: Forgery): Buffer {
  const signerInfos = Array.from({ length: forgery.signers ?? 1 }, () => signerInfo(signer, body, forgery))
  const certificates = forgery.certificates ?? [signer.certificate.der]
  const content = forgery.content ? [der.explicit(0, der.octetString(forgery.content))] : []
  const signed = der.sequence(
    der.integer(1),
    der.setOf(digestAlgorithm(forgery)),
    der.sequence(der.oid(forgery.contentType ?? OID.data), ...content),
    der.explicit(0, ...certificates),
    der.setOf(...signerInfos),
  )
  return der.sequence(der.oid(forgery.outerType ?? OID.signedData), der.explicit(0, signed))
}

function signerInfo({ certificate, key }: Identity, body: Buffer, forgery: Forgery): Buffer {
  const { issuer, serial } = readIssuerAndSerial(certificate.der)
  const attributes = signedAttributes(body, forgery)
  const [algorithm, ...parameters] = forgery.signatureAlgorithm ?? [OID.rsaEncryption, der.nullValue]
  const signature = forgery.signature ?? sign('sha256', attributes ?? body, forgery.signingKey ?? key)
  return der.sequence(
    der.integer(1),
    der.sequence(issuer, der.tlv(0x02, serial)),
    digestAlgorithm(forgery),
    ...(attributes ? [Buffer.concat([Buffer.from([0xa0]), attributes.subarray(1)])] : []),
    der.sequence(der.oid(algorithm), ...parameters),
    der.octetString(signature),
  )
}

function signedAttributes(body: Buffer, forgery: Forgery): Buffer | undefined {
  if (forgery.attributes === false) return undefined
  if (forgery.emptyAttributes) return der.setOf()
  const digests = [
    forgery.messageDigest ?? hash('sha256', body, 'buffer'),
    ...(forgery.secondDigest ? [forgery.secondDigest] : []),
  ]
  const all: [string, Buffer[]][] = [
    [OID.contentType, [der.oid(forgery.attributeType ?? OID.data)]],
    [OID.messageDigest, digests.map(der.octetString)],
    ...(forgery.extra ? [[forgery.extra[0], [forgery.extra[1]]] as [string, Buffer[]]] : []),
  ]
  const kept = all.filter(([name]) => name !== forgery.without)
  return der.setOf(...kept.map(([name, values]) => der.sequence(der.oid(name), der.setOf(...values))))
}

const digestAlgorithm = ({ digestName }: Forgery): Buffer =>
  der.sequence(der.oid(digestName ?? OID.sha256), der.nullValue)
