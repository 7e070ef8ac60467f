import type { pkcs12 } from 'node-forge'
import { toDer } from './ber.ts'
import { contentOf, type DerValue, enter, explicitTag, readDer, rest, TAG } from './der.ts'
import { smallInteger } from './der-types.ts'
import { WireError } from './error.ts'

type Forge = typeof import('node-forge')

const MAX_SIZE = 256 * 1024
const MAX_ROUNDS = 100_000
const MAX_VALUES = 10_000

/** What a PKCS#12 file holds: certificates (DER) and at most one private key (PKCS#8 DER). */
export interface P12 {
  certificates: Buffer[]
  key: Buffer | undefined
}

/**
 * Opens a PKCS#12 file (RFC 7292) with node-forge, which reads the old RC2 and triple-DES forms too and is loaded
 * only here. Throws `WireError`: 'bad_password', or 'p12' for what is no such file, has several keys, or asks for
 * over 100 000 rounds of key derivation.
 */
export async function readP12(file: Uint8Array, password: string): Promise<P12> {
  const der = boundedDer(file)
  const { default: forge } = await import('node-forge')
  const bags = openBags(forge, der, password)
  const { certBag, keyBag, pkcs8ShroudedKeyBag } = forge.pki.oids
  const keys = bags.filter(({ type }) => type === keyBag || type === pkcs8ShroudedKeyBag)
  const certificates = bags.filter(({ type }) => type === certBag)
  if (keys.length > 1) throw new WireError('p12', 'several private keys')
  return {
    certificates: certificates.map((bag) => certificateOf(forge, bag)),
    key: keys[0] && keyOf(forge, keys[0]),
  }
}

function openBags(forge: Forge, der: Buffer, password: string): pkcs12.Bag[] {
  try {
    const file = forge.asn1.fromDer(der.toString('binary'))
    return forge.pkcs12.pkcs12FromAsn1(file, false, password).safeContents.flatMap(({ safeBags }) => safeBags)
  } catch (error) {
    // Forge has no codes; its messages are all there is to tell a wrong password by.
    const wrongPassword = error instanceof Error && /password|Failed to decrypt/.test(error.message)
    throw new WireError(wrongPassword ? 'bad_password' : 'p12')
  }
}

function keyOf(forge: Forge, { key, asn1 }: pkcs12.Bag): Buffer {
  return toBuffer(forge, key ? forge.pki.wrapRsaPrivateKey(forge.pki.privateKeyToAsn1(key)) : asn1)
}

function certificateOf(forge: Forge, { cert, asn1 }: pkcs12.Bag): Buffer {
  return toBuffer(forge, cert ? forge.pki.certificateToAsn1(cert) : asn1)
}

function toBuffer(forge: Forge, value: pkcs12.Bag['asn1']): Buffer {
  return Buffer.from(forge.asn1.toDer(value).getBytes(), 'binary')
}

function boundedDer(file: Uint8Array): Buffer {
  if (file.length > MAX_SIZE) throw new WireError('p12', 'larger than 256 KiB')
  try {
    const der = toDer(file)
    checkRounds(der)
    return der
  } catch (error) {
    throw error instanceof WireError && error.reason === 'p12' ? error : new WireError('p12', 'not a PKCS#12 file')
  }
}

interface Found {
  value: DerValue
  layer: number
  wrapped: boolean
}

// Outside of what is encrypted the only integers are versions, key sizes and rounds, and forge counts rounds in
// JavaScript: 2^31 of them would hold the process for an hour. Contents lie in OCTET STRINGs under [0], two deep; a
// third is a certificate.
function checkRounds(der: Buffer): void {
  const open: Found[] = [{ value: readDer(der), layer: 0, wrapped: false }]
  for (let found = open.pop(), count = 0; found; found = open.pop(), count++) {
    const { value, layer, wrapped } = found
    if (count > MAX_VALUES) throw new WireError('p12', 'too many values')
    if (value.tag === TAG.integer && smallInteger(value) > MAX_ROUNDS) throw new WireError('p12', 'too many rounds')
    const isContent = value.tag === TAG.octetString && wrapped && layer < 2
    if (isContent) open.push({ value: readDer(toDer(contentOf(value))), layer: layer + 1, wrapped: false })
    if (!(value.tag & 0x20)) continue
    const inside = rest(enter(value, value.tag), MAX_VALUES)
    open.push(...inside.map((child) => ({ value: child, layer, wrapped: value.tag === explicitTag(0) })))
  }
}
