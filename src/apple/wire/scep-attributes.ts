import { octets, textOf } from './der-types.ts'
import { WireError } from './error.ts'
import { OID } from './oids.ts'
import type { Attributes } from './signed-data.ts'

const MAX_NONCE = 64

/** An attribute that is a short decimal word: messageType, pkiStatus, failInfo (RFC 8894 3.2.1). */
export function readWord(attributes: Attributes, name: string): string {
  const text = readText(attributes, name)
  if (!/^\d{1,3}$/.test(text)) throw new WireError('scep_shape', `attribute ${name}`)
  return text
}

/** The transactionID: printable ASCII, 1 to 255 characters; whatever else is in it is the client's choice. */
export function readTransactionId(attributes: Attributes): string {
  const text = readText(attributes, OID.transactionId)
  if (!/^[\x20-\x7e]{1,255}$/.test(text)) throw new WireError('scep_shape', 'transactionID')
  return text
}

/** A nonce: 16 bytes by the RFC, any length up to 64 by those who write clients. */
export function readNonce(attributes: Attributes, name: string): Buffer {
  const nonce = octets(single(attributes, name))
  if (nonce.length < 1 || nonce.length > MAX_NONCE) throw new WireError('scep_shape', `attribute ${name}`)
  return nonce
}

function readText(attributes: Attributes, name: string): string {
  const text = textOf(single(attributes, name))
  if (text === undefined) throw new WireError('scep_shape', `attribute ${name}`)
  return text
}

function single(attributes: Attributes, name: string) {
  const [value, ...others] = attributes.get(name) ?? []
  if (!value || others.length > 0) throw new WireError('scep_shape', `attribute ${name} is not there once`)
  return value
}
