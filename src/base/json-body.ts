import { WireError } from '../apple/wire/error.ts'
import type { Json } from '../apple/wire/json.ts'
import { parseStrictJson } from '../apple/wire/strict-json.ts'
import { Problem } from './problem.ts'

/** What is wrong with JSON that a parser takes, in words for whoever wrote it. */
const FAULTS: Record<string, string> = {
  charset: 'The body is not UTF-8.',
  depth: 'The body is nested deeper than 64.',
  nodes: 'The body holds more than 100 000 values.',
  duplicate_key: 'The body holds a key twice in one object.',
  key: 'The body holds a key that is not accepted, such as __proto__.',
  number: 'The body holds a number beyond all bounds.',
  character: 'The body holds U+0000 or half a surrogate pair.',
}

/** The body of a request that takes JSON. Throws the Problem malformed_json; nothing of the body is repeated. */
export function readJsonBody(body: Uint8Array): Json {
  try {
    return parseStrictJson(body, { exact: true })
  } catch (error) {
    if (error instanceof WireError) throw new Problem('malformed_json', FAULTS[error.reason])
    throw error
  }
}
