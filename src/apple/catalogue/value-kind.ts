import { isPlistDict, PlistReal, type PlistValue } from '../wire/plist-value.ts'

interface Kind {
  name: string
  has(value: PlistValue): boolean
}

const KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ['string', { name: 'a string', has: (value) => typeof value === 'string' }],
  ['boolean', { name: 'true or false', has: (value) => typeof value === 'boolean' }],
  ['integer', { name: 'a whole number', has: (value) => typeof value === 'bigint' || Number.isInteger(value) }],
  ['real', { name: 'a real number', has: (value) => typeof value === 'number' || value instanceof PlistReal }],
  ['data', { name: 'data', has: (value) => value instanceof Uint8Array }],
  ['date', { name: 'a date', has: (value) => value instanceof Date }],
  ['array', { name: 'an array', has: (value) => Array.isArray(value) }],
  ['dictionary', { name: 'a dictionary', has: isPlistDict }],
])

/** True when the value is of the type Apple's schema names; every value is `any`. */
export function isOfType(type: string, value: PlistValue): boolean {
  return type === 'any' || KINDS.get(type)?.has(value) === true
}

/** The type in words: `a whole number`. */
export function typeInWords(type: string): string {
  return KINDS.get(type)?.name ?? type
}

/** What the value is, in words. */
export function kindInWords(value: PlistValue): string {
  return [...KINDS.values()].find((kind) => kind.has(value))?.name ?? 'something else'
}
