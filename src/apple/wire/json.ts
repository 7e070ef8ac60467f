import { WireError } from './error.ts'
import type { PlistDict, PlistValue } from './plist.ts'
import { parseData, parseDate } from './plist-scalar.ts'
import { newPlistDict, PlistReal } from './plist-value.ts'

/** What JSON can hold. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

type Path = readonly (string | number)[]

const MAX_DEPTH = 64
const RFC3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)$/

/**
 * The value as JSON, to store as jsonb and to show: data as base64, dates as RFC 3339, whole numbers beyond 2^53 as
 * strings of digits, reals that are no number as null. One way only: `plistFromJson` does not undo it.
 */
export function jsonFromPlist(value: PlistValue): Json {
  if (typeof value === 'string') return storable(value)
  if (typeof value === 'bigint') return jsonInteger(value)
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  if (typeof value === 'boolean') return value
  if (Array.isArray(value)) return value.map(jsonFromPlist)
  if (value instanceof Uint8Array) return value.toString('base64')
  if (value instanceof Date) return value.toISOString().replace('.000Z', 'Z')
  if (value instanceof PlistReal) return jsonFromPlist(value.real)
  // fromEntries defines each key as an own property, whatever its name.
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [storable(key), jsonFromPlist(member)]))
}

/**
 * A command given as JSON, with Apple's key names: whole numbers become integers, others reals; JSON has no word for
 * bytes and instants, so `{"$data": "<base64>"}` and `{"$date": "<RFC 3339>"}` stand for them. Throws WireError with a
 * JSON pointer (RFC 6901) to the place: 'null', 'integer' beyond 2^53, 'data', 'date', 'key', 'depth'.
 */
export function plistFromJson(json: Json): PlistValue {
  return fromJson(json, [])
}

function fromJson(json: Json, path: Path): PlistValue {
  if (json === null) return refuseAt(path, 'null', 'a property list has no null')
  if (typeof json === 'number') return numberFromJson(json, path)
  if (typeof json !== 'object') return json
  if (path.length >= MAX_DEPTH) refuseAt(path, 'depth', `nested deeper than ${MAX_DEPTH}`)
  if (Array.isArray(json)) return json.map((item, index) => fromJson(item, [...path, index]))
  if (Object.hasOwn(json, '$data')) return dataFromJson(json, path)
  if (Object.hasOwn(json, '$date')) return dateFromJson(json, path)
  return dictFromJson(json, path)
}

function dictFromJson(json: { [key: string]: Json }, path: Path): PlistDict {
  const dict = newPlistDict()
  for (const [key, value] of Object.entries(json)) {
    if (key === '__proto__') refuseAt(path, 'key', 'forbidden key')
    dict[key] = fromJson(value, [...path, key])
  }
  return dict
}

// JSON.parse has rounded it by now, and a rounded number is another number.
function numberFromJson(json: number, path: Path): number {
  if (Number.isInteger(json) && !Number.isSafeInteger(json)) refuseAt(path, 'integer', 'a whole number beyond 2^53')
  return json + 0
}

function dataFromJson(json: { [key: string]: Json }, path: Path): Buffer {
  const text = onlyMember(json)
  const data = text === undefined ? undefined : parseData(text)
  return data ?? refuseAt(path, 'data', 'expected only "$data" with base64')
}

function dateFromJson(json: { [key: string]: Json }, path: Path): Date {
  const date = parseRfc3339(onlyMember(json) ?? '')
  return date ?? refuseAt(path, 'date', 'expected only "$date" with an RFC 3339 time')
}

/** The value of the only member, if there is just one and it is a string. */
function onlyMember(json: { [key: string]: Json }): string | undefined {
  const [value, ...others] = Object.values(json)
  return others.length === 0 && typeof value === 'string' ? value : undefined
}

function parseRfc3339(text: string): Date | undefined {
  if (!RFC3339.test(text)) return undefined
  const date = new Date(text.toUpperCase())
  // The clock reading itself must exist: V8 would read 30 February as 2 March.
  const exists = parseDate(`${text.slice(0, 19).toUpperCase()}Z`) !== undefined
  return exists && !Number.isNaN(date.getTime()) ? date : undefined
}

function jsonInteger(value: bigint): number | string {
  return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
}

/** The text as PostgreSQL's jsonb takes it: without U+0000 and half surrogate pairs. */
export function storable(text: string): string {
  return text.replaceAll('\u0000', '').replace(/[\uD800-\uDFFF]/gu, '\uFFFD')
}

function refuseAt(path: Path, reason: string, detail: string): never {
  const pointer = path.map((step) => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
  throw new WireError(reason, `${detail}, at ${pointer === '' ? 'the top' : pointer}`)
}
