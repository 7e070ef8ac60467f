import { contentOf, type DerValue, expectTag, TAG } from './der.ts'
import { oid } from './der-writer.ts'
import { WireError } from './error.ts'
import { OID } from './oids.ts'

// Identifiers are compared on every message, so those we know are looked up by their bytes instead of being spelled
// out.
const bytesOf = (dotted: string): string => oid(dotted).subarray(2).toString('latin1')
const known = new Map<string, string>(Object.values(OID).map((dotted) => [bytesOf(dotted), dotted]))

/** An OBJECT IDENTIFIER in dotted form. */
export function oidOf(value: DerValue): string {
  expectTag(value, TAG.oid)
  const length = value.end - value.body
  if (length < 1 || length > 64) throw new WireError('asn1', 'object identifier')
  return known.get(value.bytes.toString('latin1', value.body, value.end)) ?? spell(contentOf(value))
}

/** The content bytes of an INTEGER: two's complement, big-endian, minimal. */
export function integerBytes(value: DerValue): Buffer {
  expectTag(value, TAG.integer)
  const bytes = contentOf(value)
  const [first, second] = bytes
  if (first === undefined) throw new WireError('asn1', 'empty integer')
  const padded = second !== undefined && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))
  if (padded) throw new WireError('asn1', 'integer is not minimal')
  return bytes
}

/** A small non-negative INTEGER (below 2^31), such as a version. */
export function smallInteger(value: DerValue): number {
  const bytes = integerBytes(value)
  if (bytes.length > 4 || (bytes[0] as number) >= 0x80) throw new WireError('asn1', 'integer out of range')
  return bytes.readUIntBE(0, bytes.length)
}

/** A BOOLEAN, which DER writes as 0x00 or 0xff and nothing else. */
export function booleanOf(value: DerValue): boolean {
  expectTag(value, TAG.boolean)
  const byte = value.bytes[value.body]
  if (value.end - value.body !== 1 || (byte !== 0 && byte !== 0xff)) throw new WireError('asn1', 'boolean')
  return byte === 0xff
}

/** The content of an OCTET STRING. */
export function octets(value: DerValue): Buffer {
  expectTag(value, TAG.octetString)
  return contentOf(value)
}

/** A BIT STRING that holds whole bytes: a key or a signature. */
export function bitStringBytes(value: DerValue): Buffer {
  expectTag(value, TAG.bitString)
  if (value.bytes[value.body] !== 0 || value.end === value.body) throw new WireError('asn1', 'bit string')
  return contentOf(value).subarray(1)
}

/**
 * A named-bit list as a number: bit 0 of the list (leftmost in the message) is the value 1. At most 16 bits are read.
 */
export function namedBits(value: DerValue): number {
  expectTag(value, TAG.bitString)
  const [unused, first = 0, second = 0] = contentOf(value)
  if (unused === undefined || unused > 7) throw new WireError('asn1', 'bit string')
  let bits = 0
  for (let bit = 0; bit < 16; bit++) if (((first << 8) | second) & (0x8000 >> bit)) bits |= 1 << bit
  return bits
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The text of a character string, or undefined when the type is none that names and attributes use. */
export function textOf(value: DerValue): string | undefined {
  const bytes = contentOf(value)
  switch (value.tag) {
    case TAG.utf8String:
      return decodeUtf8(bytes)
    case TAG.printableString:
    case TAG.ia5String:
    case TAG.teletexString:
      return bytes.toString('latin1')
    case TAG.bmpString:
      if (bytes.length % 2) throw new WireError('asn1', 'BMPString')
      return Buffer.from(bytes).swap16().toString('utf16le')
    default:
      return undefined
  }
}

/** A UTCTime or GeneralizedTime in the one form RFC 5280 4.1.2.5 allows: seconds, and Z. */
export function timeOf(value: DerValue): Date {
  const text = value.bytes.toString('latin1', value.body, value.end)
  const isUtc = value.tag === TAG.utcTime && /^\d{12}Z$/.test(text)
  const isGeneralized = value.tag === TAG.generalizedTime && /^\d{14}Z$/.test(text)
  if (!isUtc && !isGeneralized) throw new WireError('asn1', 'time')
  const digits = isGeneralized ? text : `${text < '5' ? '20' : '19'}${text}`
  const number = (from: number, to: number): number => Number(digits.slice(from, to))
  const [year, month, day] = [number(0, 4), number(4, 6), number(6, 8)]
  const [hour, minute, second] = [number(8, 10), number(10, 12), number(12, 14)]
  const time = new Date(Date.UTC(year, month - 1, day, hour, minute, second))
  // Date takes the 30th of February for a day in March, and the year 99 for 1999.
  const exact = time.getUTCDate() === day && time.getUTCMonth() === month - 1 && time.getUTCFullYear() === year
  if (!exact || hour > 23 || minute > 59 || second > 59) throw new WireError('asn1', 'time')
  return time
}

function decodeUtf8(bytes: Buffer): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new WireError('asn1', 'UTF8String')
  }
}

function spell(content: Buffer): string {
  const arcs: bigint[] = []
  let arc = 0n
  let begun = false
  for (const byte of content) {
    if (!begun && byte === 0x80) throw new WireError('asn1', 'object identifier')
    arc = (arc << 7n) | BigInt(byte & 0x7f)
    begun = byte >= 0x80
    if (begun) continue
    arcs.push(arc)
    arc = 0n
  }
  if (begun) throw new WireError('asn1', 'object identifier')
  const [first = 0n, ...others] = arcs
  const root = first < 40n ? 0n : first < 80n ? 1n : 2n
  return [root, first - root * 40n, ...others].join('.')
}
