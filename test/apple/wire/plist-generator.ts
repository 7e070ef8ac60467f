import type { PlistDict, PlistValue } from '../../../src/apple/wire/plist.ts'

/** A repeatable stream of numbers in [0, 1): mulberry32. */
export type Random = () => number

/** The same seed gives the same numbers. */
export function seeded(seed: number): Random {
  let state = seed
  return () => {
    state = (state + 0x6D2B79F5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A whole number from 0 to below `limit`. */
export function below(random: Random, limit: number): number {
  return Math.floor(random() * limit)
}

/** One of the items. */
export function pick<T>(random: Random, items: readonly [T, ...T[]]): T {
  return items[below(random, items.length)] ?? items[0]
}

const TEXTS = [
  '', 'a', ' padded ', '<b>&amp;</b>', 'AT&T', '"\'', 'M\u00FCller', '\u4E2D\u6587', '\u{1F600}', 'tab\tline\nend',
  ']]>', '12', 'com.example.app', '0C000001-5B1D-4E8A-9D2F-6A7B8C9D0E1F', 'carriage\rreturn', '--',
  '<!-- c -->', '\uFEFFmark',
] as const

/** A value such as devices send, at most `depth` containers deep. Numbers stay within what a double holds exactly. */
export function anyValue(random: Random, depth: number): PlistValue {
  const kinds = depth > 0 ? 8 : 6
  switch (below(random, kinds)) {
    case 0: return anyText(random)
    case 1: return below(random, 2) === 0
    case 2: return Math.round((random() - 0.5) * 2 ** 52)
    case 3: return below(random, 1000) + 0.25
    case 4: return new Date(below(random, 4e9) * 1000)
    case 5: return Buffer.from(Array.from({ length: below(random, 40) }, () => below(random, 256)))
    case 6: return Array.from({ length: below(random, 5) }, () => anyValue(random, depth - 1))
    default: return anyDict(random, depth)
  }
}

function anyDict(random: Random, depth: number): PlistDict {
  const member = () => [anyText(random), anyValue(random, depth - 1)] as const
  return Object.fromEntries(Array.from({ length: below(random, 6) }, member))
}

function anyText(random: Random): string {
  return pick(random, TEXTS) + (below(random, 2) === 0 ? '' : pick(random, TEXTS))
}

/** The same value as XML that another writer might have written: spelled, spaced and commented at random. */
export function spelled(random: Random, value: PlistValue): string {
  const frame = pick(random, ['', '<?xml version="1.0"?>\n', '<?xml version="1.0" encoding="utf-8" ?><!-- head -->'])
  return `${frame}<plist version="1.0">${gap(random)}${element(random, value)}${gap(random)}</plist>${gap(random)}`
}

function element(random: Random, value: PlistValue): string {
  if (typeof value === 'string') return `<string>${characters(random, value)}</string>`
  if (typeof value === 'boolean') return pick(random, [`<${value}/>`, `<${value}></${value}>`, `<${value} />`])
  if (typeof value === 'number') return number(random, value)
  if (value instanceof Date) return `<date>${value.toISOString().slice(0, 19)}Z</date>`
  if (Buffer.isBuffer(value)) return `<data>${base64(random, value)}</data>`
  if (Array.isArray(value)) return `<array>${value.map((item) => gap(random) + element(random, item)).join('')}</array>`
  const members = Object.entries(value as PlistDict).map(([key, member]) =>
    `${gap(random)}<key>${characters(random, key)}</key>${gap(random)}${element(random, member)}`)
  return `<dict>${members.join('')}${gap(random)}</dict>`
}

function gap(random: Random): string {
  return pick(random, ['', '\n', '\t', ' \r\n\t', '<!-- <true/> -->', '\n<!---->\n'])
}

function number(random: Random, value: number): string {
  if (!Number.isInteger(value)) return `<real>${pick(random, [String(value), value.toExponential()])}</real>`
  return pick(random, [`<integer>${value}</integer>`, `<integer> ${value}\n</integer>`])
}

function base64(random: Random, value: Buffer): string {
  return value.toString('base64').replaceAll(/.{8}/g, (group) => group + pick(random, ['', '\n', '\n\t', ' ']))
}

function characters(random: Random, text: string): string {
  return Array.from(text, (character) => {
    const code = character.codePointAt(0) ?? 0
    if (character === '\r') return '&#13;'
    if ('<>&"\''.includes(character)) return pick(random, [`&#${code};`, `&#x${code.toString(16)};`, named(character)])
    return below(random, 8) === 0 ? `&#x${code.toString(16).toUpperCase()};` : character
  }).join('')
}

function named(character: string): string {
  return { '<': '&lt;', '>': '&gt;', '&': '&amp;', '"': '&quot;', "'": '&apos;' }[character] ?? character
}
