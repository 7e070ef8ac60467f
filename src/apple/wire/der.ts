import { WireError } from './error.ts'

/** One DER value inside `bytes`: its header begins at `start`, its content runs from `body` up to `end`. */
export interface DerValue {
  readonly bytes: Buffer
  readonly tag: number
  readonly start: number
  readonly body: number
  readonly end: number
}

/** A place among the values inside one constructed value; `next` moves it. */
export interface DerCursor {
  readonly bytes: Buffer
  readonly end: number
  at: number
}

/** Tag bytes of DER (X.690). High tag numbers occur nowhere in X.509 or CMS and are refused. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const

/** The tag byte of a context-specific constructed value: `[n] EXPLICIT`, or `[n] IMPLICIT` of a SEQUENCE or SET. */
export const explicitTag = (n: number): number => 0xa0 | n

/** The tag byte of a context-specific primitive value: `[n] IMPLICIT` of a string. */
export const implicitTag = (n: number): number => 0x80 | n

/**
 * Reads the one DER value (X.690) that `bytes` must be, without looking inside it: no trailing bytes, definite and
 * minimal lengths only. Nothing in this reader recurses; depth is what the caller's schema asks for.
 * Throws `WireError('asn1')`.
 */
export function readDer(bytes: Buffer): DerValue {
  const value = readValue(bytes, 0, bytes.length)
  if (value.end !== bytes.length) throw new WireError('asn1', 'bytes after the value')
  return value
}

/** Goes inside a constructed value, which must have this tag. */
export function enter(value: DerValue, tag: number): DerCursor {
  expectTag(value, tag)
  if ((tag & 0x20) === 0) throw new WireError('asn1', 'a primitive value has nothing inside')
  return { bytes: value.bytes, at: value.body, end: value.end }
}

/** The next value, which must be there and, if a tag is given, have that tag. */
export function next(cursor: DerCursor, tag?: number): DerValue {
  const value = readValue(cursor.bytes, cursor.at, cursor.end)
  if (tag !== undefined) expectTag(value, tag)
  cursor.at = value.end
  return value
}

/** The next value if it has this tag; otherwise nothing is taken. For OPTIONAL and DEFAULT fields. */
export function nextIf(cursor: DerCursor, tag: number): DerValue | undefined {
  return cursor.at < cursor.end && cursor.bytes[cursor.at] === tag ? next(cursor, tag) : undefined
}

/** Every value that is left, at most `limit` of them. */
export function rest(cursor: DerCursor, limit: number): DerValue[] {
  const values: DerValue[] = []
  while (cursor.at < cursor.end) {
    if (values.length === limit) throw new WireError('asn1', `more than ${limit} values`)
    values.push(next(cursor))
  }
  return values
}

/** Says that nothing may follow. */
export function finish(cursor: DerCursor): void {
  if (cursor.at !== cursor.end) throw new WireError('asn1', 'unexpected further value')
}

/** Header and content, as they stand in the message. */
export const rawOf = (value: DerValue): Buffer => value.bytes.subarray(value.start, value.end)

/** The content without its header. */
export const contentOf = (value: DerValue): Buffer => value.bytes.subarray(value.body, value.end)

/** Throws unless the value has this tag. */
export function expectTag(value: DerValue, tag: number): void {
  if (value.tag !== tag) throw new WireError('asn1', `tag ${hex(value.tag)} instead of ${hex(tag)}`)
}

function readValue(bytes: Buffer, start: number, end: number): DerValue {
  if (start + 2 > end) throw new WireError('asn1', 'truncated')
  const tag = bytes[start] as number
  if ((tag & 0x1f) === 0x1f) throw new WireError('asn1', 'high tag number')
  const first = bytes[start + 1] as number
  let length = first
  let body = start + 2
  if (first >= 0x80) {
    body += first & 0x7f
    length = longLength(bytes, start + 2, body, end)
  }
  if (length > end - body) throw new WireError('asn1', 'length runs over the end')
  return { bytes, tag, start, body, end: body + length }
}

function longLength(bytes: Buffer, from: number, to: number, end: number): number {
  // Four bytes are more than any message we read; they also keep the arithmetic far below 2^53.
  if (to === from || to - from > 4 || to > end) throw new WireError('asn1', 'length form')
  let length = 0
  for (let at = from; at < to; at++) length = length * 256 + (bytes[at] as number)
  if (length < 0x80 || bytes[from] === 0) throw new WireError('asn1', 'length is not minimal')
  return length
}

const hex = (tag: number): string => `0x${tag.toString(16).padStart(2, '0')}`
