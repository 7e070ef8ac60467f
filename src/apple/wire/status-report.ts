import { WireError } from './error.ts'
import type { Json } from './json.ts'
import { parseStrictJson } from './strict-json.ts'

export interface JsonObject {
  [key: string]: Json
}

/** What a device reports about itself by declarative management (Apple: StatusReport); dots in names are nesting. */
export interface StatusReport {
  items: JsonObject
  errors: Json[]
  /** Everything is said at once: what is not in it is no more. */
  full: boolean
}

/**
 * Reads the Data of a message to the endpoint `status`. Throws WireError: whatever `parseStrictJson` throws, 'type' for a
 * StatusItems that is no object, an Errors that is no array, a FullReport that is neither true nor false.
 */
export function parseStatusReport(data: Uint8Array): StatusReport {
  const json = parseStrictJson(data)
  if (!isObject(json)) throw new WireError('type', 'not an object')
  const items = own(json, 'StatusItems')
  const errors = own(json, 'Errors') ?? []
  const full = own(json, 'FullReport') ?? false
  if (!isObject(items)) throw new WireError('type', 'StatusItems')
  if (!Array.isArray(errors)) throw new WireError('type', 'Errors')
  if (typeof full !== 'boolean') throw new WireError('type', 'FullReport')
  return { items, errors, full }
}

/**
 * What is known after a report: a full one replaces everything; otherwise objects are merged, scalars replaced, and arrays
 * of things with an `identifier` changed thing by thing, where `_removed` takes one out (protocol.md 9.5).
 */
export function mergeStatus(known: JsonObject, report: StatusReport): JsonObject {
  return mergeObjects(report.full ? {} : known, report.items)
}

function mergeObjects(known: JsonObject, news: JsonObject): JsonObject {
  const merged = Object.entries(news).map(([key, value]): [string, Json] => [key, merge(own(known, key), value)])
  return Object.fromEntries([...Object.entries(known), ...merged])
}

function merge(known: Json | undefined, news: Json): Json {
  if (isObject(news)) return mergeObjects(isObject(known) ? known : {}, news)
  if (!isThings(news)) return news
  return mergeThings(isThings(known) ? known : [], news)
}

interface Thing extends JsonObject {
  identifier: string
}

// A thing is reported whole: keys of before that it no longer has (the reasons of an error that is gone) must not stay.
function mergeThings(known: Thing[], news: Thing[]): Thing[] {
  const things = new Map(known.map((thing) => [thing.identifier, thing]))
  for (const thing of news) {
    if (own(thing, '_removed') === true) things.delete(thing.identifier)
    else things.set(thing.identifier, thing)
  }
  return [...things.values()]
}

/** An empty array is one of things too: then nothing has changed. */
function isThings(json: Json | undefined): json is Thing[] {
  return Array.isArray(json) && json.every((item) => isObject(item) && typeof own(item, 'identifier') === 'string')
}

function isObject(json: Json | undefined): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}

function own(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined
}
