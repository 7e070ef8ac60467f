import { constants, type KeyObject, privateDecrypt, publicEncrypt } from 'node:crypto'
import { CIPHERS, type ContentCipher, decrypt, encrypt, findCipher } from './content-cipher.ts'
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
import { integerBytes, octets, oidOf, smallInteger } from './der-types.ts'
import * as der from './der-writer.ts'
import { toDer } from './ber.ts'
import { WireError } from './error.ts'
import { readOaepDigest } from './oaep.ts'
import { OID } from './oids.ts'
import { unwrapPkcs1 } from './rsa-unwrap.ts'
import { keyIdOf } from './signed-data.ts'
import { type Certificate, readIssuerAndSerial } from './x509.ts'

const MAX_RECIPIENTS = 16

/** Whose envelope it is: an RSA certificate and its private key. */
export interface Recipient {
  certificate: Certificate
  key: KeyObject
}

/**
 * Encrypts for the holder of one RSA certificate: a DER CMS EnvelopedData (RFC 5652 6) with RSAES-PKCS1-v1_5 key
 * transport, the only one every iPhone knows. A certificate without an RSA key is `WireError('weak_alg')`: nothing
 * can be sent to it so.
 */
export function encryptTo(
  content: Uint8Array,
  recipient: Certificate,
  cipher: 'aes-128-cbc' | 'aes-256-cbc' | 'des-ede3-cbc',
): Buffer {
  if (recipient.publicKey.asymmetricKeyType !== 'rsa') throw new WireError('weak_alg', 'recipient without an RSA key')
  const { key, iv, encrypted } = encrypt(cipher, content)
  const wrapped = publicEncrypt({ key: recipient.publicKey, padding: constants.RSA_PKCS1_PADDING }, key)
  const { issuer, serial } = readIssuerAndSerial(recipient.der)
  const recipientId = der.sequence(issuer, der.tlv(TAG.integer, serial))
  const transport = der.sequence(der.oid(OID.rsaEncryption), der.nullValue)
  const recipientInfo = der.sequence(der.integer(0), recipientId, transport, der.octetString(wrapped))
  const algorithm = der.sequence(der.oid(CIPHERS[cipher].oid), der.octetString(iv))
  const encryptedContent = der.sequence(der.oid(OID.data), algorithm, der.implicit(0, encrypted))
  const envelope = der.sequence(der.integer(0), der.setOf(recipientInfo), encryptedContent)
  return der.sequence(der.oid(OID.envelopedData), der.explicit(0, envelope))
}

/**
 * Opens an EnvelopedData, DER or BER: RSAES-PKCS1-v1_5 or OAEP, AES-CBC, triple and single DES. What is no
 * EnvelopedData throws `WireError('asn1')`; everything after that (not for us, unknown cipher, wrong key, wrong
 * padding) is one and the same `WireError('envelope')`. A content key with wrong padding may even yield random
 * content: the caller must read it strictly.
 */
export function openEnvelope(cms: Uint8Array, recipient: Recipient): { content: Buffer; cipher: ContentCipher } {
  const envelope = readEnvelope(cms)
  try {
    return decryptEnvelope(envelope, recipient)
  } catch {
    // One answer for every cause; a second one would be an oracle.
    throw new WireError('envelope')
  }
}

interface Envelope {
  recipients: DerValue[]
  algorithm: DerCursor
  encrypted: Buffer
}

function readEnvelope(cms: Uint8Array): Envelope {
  const contentInfo = enter(readDer(toDer(cms)), TAG.sequence)
  if (oidOf(next(contentInfo)) !== OID.envelopedData) throw new WireError('asn1', 'not an EnvelopedData')
  const wrapper = enter(next(contentInfo), explicitTag(0))
  finish(contentInfo)
  const fields = enter(next(wrapper), TAG.sequence)
  finish(wrapper)
  smallInteger(next(fields))
  nextIf(fields, explicitTag(0))
  const recipients = rest(enter(next(fields), TAG.set), MAX_RECIPIENTS)
  const content = enter(next(fields), TAG.sequence)
  nextIf(fields, explicitTag(1))
  finish(fields)
  next(content, TAG.oid)
  const algorithm = enter(next(content), TAG.sequence)
  const encrypted = encryptedBytes(next(content))
  finish(content)
  return { recipients, algorithm, encrypted }
}

// [0] IMPLICIT OCTET STRING, which BER may send in chunks.
function encryptedBytes(value: DerValue): Buffer {
  if (value.tag === implicitTag(0)) return contentOf(value)
  const chunks = enter(value, explicitTag(0))
  const parts: Buffer[] = []
  while (chunks.at < chunks.end) parts.push(octets(next(chunks)))
  return Buffer.concat(parts)
}

function decryptEnvelope({ recipients, algorithm, encrypted }: Envelope, { certificate, key }: Recipient) {
  const cipher = findCipher(oidOf(next(algorithm)))
  const iv = octets(next(algorithm))
  const keyTransports = recipients.filter(({ tag }) => tag === TAG.sequence).map(readRecipient)
  const mine = keyTransports.find(({ id }) => isFor(id, certificate))
  if (!mine || !cipher) throw new WireError('envelope')
  const contentKey = unwrap(mine, key, CIPHERS[cipher].keySize)
  return { content: decrypt(cipher, contentKey, iv, encrypted), cipher }
}

interface KeyTransport {
  id: DerValue
  algorithm: DerCursor
  wrapped: Buffer
}

function readRecipient(value: DerValue): KeyTransport {
  const fields = enter(value, TAG.sequence)
  smallInteger(next(fields))
  const id = next(fields)
  const algorithm = enter(next(fields), TAG.sequence)
  const wrapped = octets(next(fields))
  finish(fields)
  return { id, algorithm, wrapped }
}

function isFor(id: DerValue, certificate: Certificate): boolean {
  const keyId = keyIdOf(id)
  if (keyId) return certificate.subjectKeyId?.equals(keyId) ?? false
  const { issuer, serial } = readIssuerAndSerial(certificate.der)
  const fields = enter(id, TAG.sequence)
  return rawOf(next(fields)).equals(issuer) && integerBytes(next(fields)).equals(serial)
}

function unwrap({ algorithm, wrapped }: KeyTransport, key: KeyObject, length: number): Buffer {
  const name = oidOf(next(algorithm))
  if (name === OID.rsaEncryption) return unwrapPkcs1(key, wrapped, length)
  if (name !== OID.rsaOaep) throw new WireError('envelope')
  const oaepHash = readOaepDigest(algorithm)
  return privateDecrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, wrapped)
}
