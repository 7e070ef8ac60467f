import { createPublicKey, type KeyObject } from 'node:crypto'
import { type DerCursor, enter, explicitTag, finish, next, nextIf, rawOf, readDer, rest, TAG } from './der.ts'
import { bitStringBytes, oidOf, smallInteger, textOf } from './der-types.ts'
import * as der from './der-writer.ts'
import { WireError } from './error.ts'
import { OID } from './oids.ts'
import { publicKeyProblem, readPublicKey } from './public-key.ts'
import { makeSignature, readSignatureAlgorithm, signatureAlgorithm, verifySignature } from './signature.ts'
import { weakModulus } from './weak-rsa.ts'
import { checkName } from './x509-name.ts'

const MAX_SIZE = 16 * 1024
const MAX_ATTRIBUTES = 16
const MAX_CHALLENGE = 1024

/**
 * A certificate request (PKCS#10, RFC 2986) whose signature its own key made. What it asks for beyond that is not
 * read.
 */
export interface Csr {
  der: Buffer
  subject: Buffer
  spki: Buffer
  publicKey: KeyObject
  challengePassword?: string
}

/**
 * Reads a DER certificate request and checks that its key signed it. Throws `WireError`: 'asn1' for its form,
 * 'weak_alg', 'bad_signature', and, once the signature holds, 'weak_key' for a key we would not certify: too short,
 * of another kind, or long enough but badly made.
 */
export function readCsr(bytes: Uint8Array): Csr {
  if (bytes.length > MAX_SIZE) throw new WireError('asn1', 'certificate request larger than 16 KB')
  const request = Buffer.from(bytes)
  const outer = enter(readDer(request), TAG.sequence)
  const info = next(outer, TAG.sequence)
  const { digest, keyType } = readSignatureAlgorithm(next(outer))
  const signature = bitStringBytes(next(outer))
  finish(outer)
  const { subject, spki, challengePassword } = readInfo(enter(info, TAG.sequence))
  const publicKey = readPublicKey(spki)
  const fits = keyType === publicKey.asymmetricKeyType
  const signed = fits && digest && verifySignature(digest, rawOf(info), publicKey, signature)
  if (!signed) throw new WireError('bad_signature', 'certificate request')
  checkCertifiable(publicKey)
  return { der: request, subject, spki, publicKey, ...(challengePassword !== undefined && { challengePassword }) }
}

/** Makes a certificate request signed with SHA-256, as a device does. Returns the DER. */
export function createCsr(o: { subject: Buffer; key: KeyObject; challengePassword?: string }): Buffer {
  const spki = createPublicKey(o.key).export({ format: 'der', type: 'spki' })
  const attributes = o.challengePassword === undefined ? [] : [challengeAttribute(o.challengePassword)]
  const info = der.sequence(der.integer(0), o.subject, spki, der.explicit(0, ...attributes))
  return der.sequence(info, signatureAlgorithm(o.key), der.bitString(makeSignature(info, o.key)))
}

function readInfo(info: DerCursor) {
  if (smallInteger(next(info)) !== 0) throw new WireError('asn1', 'version of the certificate request')
  const subject = checkName(rawOf(next(info)))
  const spki = rawOf(next(info, TAG.sequence))
  const attributes = nextIf(info, explicitTag(0))
  finish(info)
  const challengePassword = attributes && readChallenge(enter(attributes, explicitTag(0)))
  return { subject, spki, challengePassword }
}

function readChallenge(attributes: DerCursor): string | undefined {
  const challenges = rest(attributes, MAX_ATTRIBUTES).flatMap((attribute) => {
    const fields = enter(attribute, TAG.sequence)
    const name = oidOf(next(fields))
    const values = rest(enter(next(fields), TAG.set), MAX_ATTRIBUTES)
    finish(fields)
    return name === OID.challengePassword ? values : []
  })
  if (challenges.length > 1) throw new WireError('asn1', 'two challenge passwords')
  const [challenge] = challenges
  if (!challenge) return undefined
  const text = textOf(challenge)
  if (text === undefined || text.length > MAX_CHALLENGE) throw new WireError('asn1', 'challenge password')
  return text
}

function checkCertifiable(key: KeyObject): void {
  const problem = publicKeyProblem(key) ?? (key.asymmetricKeyType === 'rsa' ? weakModulus(modulusOf(key)) : undefined)
  if (problem) throw new WireError('weak_key', problem)
}

function modulusOf(key: KeyObject): bigint {
  return BigInt(`0x${Buffer.from(key.export({ format: 'jwk' }).n ?? '', 'base64url').toString('hex')}`)
}

function challengeAttribute(challenge: string): Buffer {
  const printable = /^[A-Za-z0-9 '()+,./:=?-]*$/.test(challenge)
  const value = printable ? der.printableString(challenge) : der.utf8String(challenge)
  return der.sequence(der.oid(OID.challengePassword), der.setOf(value))
}
