import { WireError } from './error.ts'
import { readEpilog, readProlog } from './plist-prolog.ts'
import { parseData, parseDate, parseInteger, parseReal } from './plist-scalar.ts'
import { plistText } from './plist-text.ts'
import { isPlistDict, newPlistDict, type PlistDict, type PlistValue } from './plist-value.ts'
import { atClosingTag, readClosingTag, readTag, readText, refuse, skipMisc, type Cursor } from './plist-xml.ts'

export type { PlistDict, PlistReal, PlistValue } from './plist-value.ts'

/** How deep dicts and arrays may nest (64), and how many values a document may hold (100 000). */
export interface PlistLimits {
  maxDepth?: number
  maxNodes?: number
}

/**
 * Reads an XML property list (Apple's PropertyList-1.0 DTD) in one pass, without recursion and without ever resolving
 * anything. Strict, because two readers that differ about a message are an attack: no entities of its own, no
 * duplicate keys, no half numbers. Throws WireError with the character offset in the message.
 */
export function decodePlist(bytes: Uint8Array, limits: PlistLimits = {}): PlistValue {
  const cursor: Cursor = { text: plistText(bytes), at: 0, selfClosed: false }
  readProlog(cursor)
  const value = readTree(cursor, limits.maxDepth ?? 64, limits.maxNodes ?? 100_000)
  readEpilog(cursor)
  return value
}

/** The same value as a dict; throws WireError 'type' for anything else. */
export function plistDict(value: PlistValue): PlistDict {
  if (!isPlistDict(value)) throw new WireError('type', 'expected a dict')
  return value
}

type Container = PlistDict | PlistValue[]

/** Reads one value with all it holds. `open` are the containers not closed yet, the innermost last. */
function readTree(cursor: Cursor, maxDepth: number, maxNodes: number): PlistValue {
  const open: Container[] = []
  const root = readElement(cursor, open)
  let parent = unfinished(cursor, open)
  for (let nodes = 1; parent !== undefined; nodes++) {
    if (open.length > maxDepth) refuse(cursor, 'depth', `nested deeper than ${maxDepth}`)
    if (nodes >= maxNodes) refuse(cursor, 'limit', `more than ${maxNodes} values`)
    if (Array.isArray(parent)) parent.push(readElement(cursor, open))
    else readMember(cursor, open, parent)
    parent = unfinished(cursor, open)
  }
  return root
}

/** Closes what ends here and gives the container that goes on, if any. */
function unfinished(cursor: Cursor, open: Container[]): Container | undefined {
  for (let inner = open[open.length - 1]; inner !== undefined; inner = open[open.length - 1]) {
    skipMisc(cursor)
    if (!atClosingTag(cursor)) return inner
    readClosingTag(cursor, Array.isArray(inner) ? 'array' : 'dict')
    open.pop()
  }
  return undefined
}

function readMember(cursor: Cursor, open: Container[], dict: PlistDict): void {
  if (readTag(cursor) !== 'key') refuse(cursor, 'xml', 'expected <key>')
  const key = readText(cursor, 'key')
  // The dict has no prototype to harm, but whoever copies it may.
  if (key === '__proto__') refuse(cursor, 'key', 'forbidden key')
  // No value is undefined, and a look-up is half the price of `in` here.
  if (dict[key] !== undefined) refuse(cursor, 'duplicate_key', 'the same key twice in one dict')
  skipMisc(cursor)
  dict[key] = readElement(cursor, open)
}

/** Reads a scalar whole, or the opening tag of a container, which then joins `open`. */
function readElement(cursor: Cursor, open: Container[]): PlistValue {
  const name = readTag(cursor)
  if (name !== 'dict' && name !== 'array') return readScalar(cursor, name)
  const container: Container = name === 'dict' ? newPlistDict() : []
  if (!cursor.selfClosed) open.push(container)
  return container
}

function readScalar(cursor: Cursor, name: string): PlistValue {
  switch (name) {
    case 'string': return readText(cursor, name)
    case 'true': return readFlag(cursor, name, true)
    case 'false': return readFlag(cursor, name, false)
    case 'integer': return parseInteger(readText(cursor, name)) ?? refuse(cursor, name, 'not a 64-bit whole number')
    case 'real': return parseReal(readText(cursor, name)) ?? refuse(cursor, name, 'not a number')
    case 'date': return parseDate(readText(cursor, name)) ?? refuse(cursor, name, 'not a date')
    case 'data': return parseData(readText(cursor, name)) ?? refuse(cursor, name, 'not base64')
    default: return refuse(cursor, 'xml', 'unknown element')
  }
}

function readFlag(cursor: Cursor, name: string, value: boolean): boolean {
  if (cursor.selfClosed) return value
  skipMisc(cursor)
  readClosingTag(cursor, name)
  return value
}
