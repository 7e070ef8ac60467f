import { WireError } from './error.ts'
import { APPLE_HEAD } from './plist-prolog.ts'
import { PlistReal } from './plist-value.ts'

export { PlistReal } from './plist-value.ts'

/** What `encodePlist` takes. Any bytes are data; members of a dict that are undefined are left out. */
export type EncodablePlist =
  string | number | bigint | boolean | Date | Uint8Array | PlistReal | readonly EncodablePlist[] | EncodableDict

export interface EncodableDict {
  readonly [key: string]: EncodablePlist | undefined
}

const MAX_DEPTH = 64
// Anything but XML 1.0's Char (production 2): control characters, lone surrogates and two non-characters.
const FORBIDDEN = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u

/**
 * Writes an XML property list as Apple's own writer does: tabs, one element a line, base64 data. Whole numbers become
 * `<integer>`, others `<real>`. Dates lose their milliseconds. Throws WireError for what XML or the format cannot hold:
 * 'character', 'integer', 'real', 'date', 'depth', and 'type' for null, functions and the like.
 */
export function encodePlist(value: EncodablePlist): Buffer {
  return Buffer.from(`${APPLE_HEAD}${element(value, '')}</plist>\n`)
}

function element(value: EncodablePlist, indent: string): string {
  switch (typeof value) {
    case 'string': return `${indent}<string>${escaped(value)}</string>\n`
    case 'boolean': return `${indent}<${value}/>\n`
    case 'number': return `${indent}${numberElement(value)}\n`
    case 'bigint': return `${indent}${integerElement(value)}\n`
    case 'object': return objectElement(value, indent)
    default: throw new WireError('type', `cannot write a ${typeof value}`)
  }
}

function objectElement(value: EncodablePlist & object | null, indent: string): string {
  if (value === null) throw new WireError('type', 'cannot write null')
  if (value instanceof Uint8Array) return `${indent}<data>${base64(value)}</data>\n`
  if (value instanceof Date) return `${indent}<date>${dateText(value)}</date>\n`
  if (value instanceof PlistReal) return `${indent}${realElement(value.real)}\n`
  return isList(value) ? arrayElement(value, indent) : dictElement(value, indent)
}

function arrayElement(list: readonly EncodablePlist[], indent: string): string {
  let items = ''
  for (const item of list) items += element(item, deeper(indent))
  return items === '' ? `${indent}<array/>\n` : `${indent}<array>\n${items}${indent}</array>\n`
}

function dictElement(dict: EncodableDict, indent: string): string {
  let members = ''
  for (const [key, value] of Object.entries(dict)) {
    if (value === undefined) continue
    const inner = deeper(indent)
    members += `${inner}<key>${keyText(key)}</key>\n${element(value, inner)}`
  }
  return members === '' ? `${indent}<dict/>\n` : `${indent}<dict>\n${members}${indent}</dict>\n`
}

// The reader's limit, so that whatever is written can be read; it also ends a circle.
function deeper(indent: string): string {
  if (indent.length >= MAX_DEPTH) throw new WireError('depth', `nested deeper than ${MAX_DEPTH}`)
  return `${indent}\t`
}

function keyText(key: string): string {
  if (key === '__proto__') throw new WireError('key', 'forbidden key')
  return escaped(key)
}

// Array.isArray alone does not narrow a union with a readonly array.
function isList(value: readonly EncodablePlist[] | EncodableDict): value is readonly EncodablePlist[] {
  return Array.isArray(value)
}

function numberElement(value: number): string {
  return Number.isSafeInteger(value) ? `<integer>${value}</integer>` : realElement(value)
}

function integerElement(value: bigint): string {
  if (value < -(2n ** 63n) || value >= 2n ** 64n) throw new WireError('integer', 'does not fit in 64 bits')
  return `<integer>${value}</integer>`
}

function realElement(value: number): string {
  if (!Number.isFinite(value)) throw new WireError('real', 'not a finite number')
  return `<real>${value}</real>`
}

function dateText(date: Date): string {
  const year = date.getUTCFullYear()
  if (!(year >= 0 && year <= 9999)) throw new WireError('date', 'not a date with a year of four digits')
  return `${date.toISOString().slice(0, 19)}Z`
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

// A carriage return is written as a reference: a bare one would be read as a line feed (XML 1.0 section 2.11).
function escaped(text: string): string {
  if (FORBIDDEN.test(text)) throw new WireError('character', 'not allowed in XML')
  return /[&<>\r]/.test(text) ? escapeMarkup(text) : text
}

function escapeMarkup(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('\r', '&#13;')
}
