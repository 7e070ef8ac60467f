import { explicitTag, implicitTag, TAG } from './der.ts'

/** Writes one DER value (X.690): tag, minimal definite length, and the parts one after the other. */
export function tlv(tag: number, ...parts: Uint8Array[]): Buffer {
  let length = 0
  for (const part of parts) length += part.length
  return Buffer.concat([header(tag, length), ...parts])
}

/** Tag and definite length of a value whose content is `length` bytes. */
export function header(tag: number, length: number): Buffer {
  if (length < 0x80) return Buffer.from([tag, length])
  const bytes = []
  for (let left = length; left > 0; left = Math.floor(left / 256)) bytes.unshift(left % 256)
  return Buffer.from([tag, 0x80 | bytes.length, ...bytes])
}

/** SEQUENCE */
export const sequence = (...parts: Uint8Array[]): Buffer => tlv(TAG.sequence, ...parts)

/** SET OF, in the order DER demands: by the encoded bytes. */
export const setOf = (...parts: Uint8Array[]): Buffer => tlv(TAG.set, ...parts.toSorted((a, b) => Buffer.compare(a, b)))

/** `[n] EXPLICIT`, and `[n] IMPLICIT` of a SEQUENCE or SET whose parts are given. */
export const explicit = (n: number, ...parts: Uint8Array[]): Buffer => tlv(explicitTag(n), ...parts)

/** `[n] IMPLICIT` of a string. */
export const implicit = (n: number, content: Uint8Array): Buffer => tlv(implicitTag(n), content)

/** OCTET STRING */
export const octetString = (content: Uint8Array): Buffer => tlv(TAG.octetString, content)

/** BIT STRING of whole bytes. */
export const bitString = (content: Uint8Array): Buffer => tlv(TAG.bitString, Buffer.from([0]), content)

/** A BIT STRING that is a list of named bits: bit 0 of the list is the value 1; trailing zero bits are left out. */
export function namedBitString(bits: number): Buffer {
  const last = 31 - Math.clz32(bits)
  const bytes = Buffer.alloc((last >> 3) + 1)
  for (let bit = 0; bit <= last; bit++) if (bits & (1 << bit)) bytes[bit >> 3]! |= 0x80 >> (bit & 7)
  return tlv(TAG.bitString, Buffer.from([7 - (last & 7)]), bytes)
}

/** UTF8String */
export const utf8String = (text: string): Buffer => tlv(TAG.utf8String, Buffer.from(text, 'utf8'))

/** PrintableString; the caller knows that the text is printable ASCII. */
export const printableString = (text: string): Buffer => tlv(TAG.printableString, Buffer.from(text, 'latin1'))

/** IA5String; the caller knows that the text is ASCII. */
export const ia5String = (text: string): Buffer => tlv(TAG.ia5String, Buffer.from(text, 'latin1'))

/** NULL */
export const nullValue = Buffer.from([TAG.null, 0])

/** BOOLEAN */
export const boolean = (value: boolean): Buffer => Buffer.from([TAG.boolean, 1, value ? 0xff : 0])

/** INTEGER from a number or from big-endian unsigned bytes; never negative. */
export function integer(value: number | Uint8Array): Buffer {
  let bytes = typeof value === 'number' ? Buffer.alloc(6) : Buffer.from(value)
  if (typeof value === 'number') bytes.writeUIntBE(value, 0, 6)
  while (bytes.length > 1 && bytes[0] === 0) bytes = bytes.subarray(1)
  const sign = (bytes[0] ?? 0) >= 0x80 || bytes.length === 0 ? Buffer.from([0]) : Buffer.alloc(0)
  return tlv(TAG.integer, sign, bytes)
}

/** OBJECT IDENTIFIER from its dotted form. */
export function oid(dotted: string): Buffer {
  const [root = 0n, second = 0n, ...others] = dotted.split('.').map(BigInt)
  return tlv(TAG.oid, Buffer.from([root * 40n + second, ...others].flatMap(base128)))
}

/** UTCTime up to 2049, GeneralizedTime after it (RFC 5280 4.1.2.5); whole seconds. */
export function time(date: Date): Buffer {
  const digits = `${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`
  const year = date.getUTCFullYear()
  if (year >= 1950 && year < 2050) return tlv(TAG.utcTime, Buffer.from(digits.slice(2), 'latin1'))
  return tlv(TAG.generalizedTime, Buffer.from(digits, 'latin1'))
}

function base128(arc: bigint): number[] {
  const bytes = [Number(arc & 0x7fn)]
  for (let left = arc >> 7n; left > 0n; left >>= 7n) bytes.unshift(Number(left & 0x7fn) | 0x80)
  return bytes
}
