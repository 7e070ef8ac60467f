import { WireError } from './error.ts'
import { storable, type Json } from './json.ts'

const MAX_DEPTH = 64
const MAX_NODES = 100_000 // as for property lists
const UTF8 = new TextDecoder('utf-8', { fatal: true })

/**
 * JSON from outside, to be stored as jsonb: UTF-8 only, at most 64 deep and 100 000 values, no key twice and none that
 * reaches a prototype; U+0000 and half surrogates, which jsonb does not take, are replaced, or refused where every character
 * counts (`exact`). How deep and how much is measured before anything is built. Throws WireError 'charset', 'depth', 'nodes',
 * 'json', 'duplicate_key', 'key', 'number', and when `exact` 'character'.
 */
export function parseStrictJson(data: Uint8Array, o: { exact?: boolean } = {}): Json {
  const members = measure(data)
  const seen = { members: 0, text: o.exact ? unchanged : storable }
  const json = read(parse(decode(data)), seen)
  // JSON.parse keeps the last of two equal keys; then fewer are left than there were colons.
  if (seen.members !== members) throw new WireError('duplicate_key')
  return json
}

/** Walks over the bytes outside of strings; returns how many keys there are. Whether it is JSON, the parser says. */
function measure(data: Uint8Array): number {
  let [depth, nodes, members, inString] = [0, 0, 0, false]
  for (let i = 0; i < data.length; i++) {
    const byte = data[i]
    if (byte === 0x22) inString = !inString
    else if (inString) i += byte === 0x5c ? 1 : 0
    else if (byte === 0x5b || byte === 0x7b) [depth, nodes] = [depth + 1, nodes + 1]
    else if (byte === 0x5d || byte === 0x7d) depth--
    else if (byte === 0x2c) nodes++
    else if (byte === 0x3a) members++
    if (depth > MAX_DEPTH) throw new WireError('depth', `nested deeper than ${MAX_DEPTH}`)
    if (nodes > MAX_NODES) throw new WireError('nodes', `more than ${MAX_NODES} values`)
  }
  return members
}

function decode(data: Uint8Array): string {
  try {
    return UTF8.decode(data)
  } catch {
    throw new WireError('charset', 'not UTF-8')
  }
}

function parse(text: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch {
    // The parser's own words repeat what was sent.
    throw new WireError('json', 'not JSON')
  }
}

function unchanged(text: string): string {
  if (storable(text) !== text) throw new WireError('character', 'U+0000 or half a surrogate pair')
  return text
}

function read(json: Json, seen: { members: number; text: (text: string) => string }): Json {
  if (typeof json === 'string') return seen.text(json)
  if (typeof json === 'number' && !Number.isFinite(json)) throw new WireError('number', 'a number beyond all bounds')
  if (typeof json !== 'object' || json === null) return json
  if (Array.isArray(json)) return json.map((item) => read(item, seen))
  const members = Object.entries(json)
  seen.members += members.length
  if (Object.hasOwn(json, '__proto__')) throw new WireError('key', 'forbidden key')
  return Object.fromEntries(members.map(([key, value]) => [seen.text(key), read(value, seen)]))
}
