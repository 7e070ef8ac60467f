import { createPublicKey, type KeyObject } from 'node:crypto'
import { enter, finish, next, readDer, TAG } from './der.ts'
import { oidOf } from './der-types.ts'
import { WireError } from './error.ts'
import { OID } from './oids.ts'

const MAX_KEYS = 16_384
const MAX_SPKI_SIZE = 2048
const CURVES: readonly (string | undefined)[] = ['prime256v1', 'secp384r1']
const keys = new Map<string, KeyObject>()

/**
 * The key of a certificate, kept by the certificate's SHA-256: OpenSSL 3.0 takes longer to decode an RSA key than to
 * verify a signature with it. The 16 384 last used are kept (about 70 MB), for all callers in this process.
 */
export function publicKeyOf(sha256: Buffer, spki: Buffer): KeyObject {
  const id = sha256.toString('latin1')
  const key = keys.get(id) ?? readPublicKey(spki)
  keys.delete(id)
  keys.set(id, key)
  if (keys.size > MAX_KEYS) keys.delete(keys.keys().next().value as string)
  return key
}

/**
 * Reads a SubjectPublicKeyInfo with an RSA or elliptic-curve key. Throws `WireError('weak_alg')` for other kinds of
 * key.
 */
export function readPublicKey(spki: Buffer): KeyObject {
  if (spki.length > MAX_SPKI_SIZE) throw new WireError('asn1', 'public key too large')
  const info = enter(readDer(spki), TAG.sequence)
  const kind = oidOf(next(enter(next(info), TAG.sequence)))
  next(info, TAG.bitString)
  finish(info)
  if (kind !== OID.rsaEncryption && kind !== OID.ecPublicKey) throw new WireError('weak_alg', `key type ${kind}`)
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' })
  } catch {
    throw new WireError('asn1', 'public key')
  }
}

/**
 * Why we do not trust this kind of key, or undefined when we do: RSA of 2048 to 4096 bits with exponent 65537, P-256
 * and P-384. `minimumRsaBits` is for the one exception, Apple's own device certificates of 1024 bits.
 */
export function publicKeyProblem(key: KeyObject, minimumRsaBits = 2048): string | undefined {
  const { modulusLength = 0, publicExponent, namedCurve } = key.asymmetricKeyDetails ?? {}
  const kind = key.asymmetricKeyType ?? key.type
  if (kind === 'ec') return CURVES.includes(namedCurve) ? undefined : `curve ${namedCurve ?? 'unnamed'}`
  if (kind !== 'rsa') return `key type ${kind}`
  if (modulusLength < minimumRsaBits || modulusLength > 4096) return `RSA key of ${modulusLength} bits`
  return publicExponent === 65537n ? undefined : `RSA exponent ${String(publicExponent).slice(0, 20)}`
}
