import { WireError } from './error.ts'

/** A place in an XML text. One cursor lives for one decode; every reader below moves it forward, never back. */
export interface Cursor {
  readonly text: string
  at: number
  /** Whether the tag read last was `<name/>`. */
  selfClosed: boolean
}

const TAB = 9, LF = 10, SPACE = 32, BANG = 33, SLASH = 47, LESS = 60, GREATER = 62, QUESTION = 63
const ENTITIES = new Map([['amp', '&'], ['lt', '<'], ['gt', '>'], ['quot', '"'], ['apos', "'"]])
// '&#x10FFFF;' and '&#1114111;' are the longest references with a meaning.
const LONGEST_REFERENCE = 10

/** Stops the decode. The message says what and where, and repeats nothing of the input. */
export function refuse(cursor: Cursor, reason: string, detail: string): never {
  throw new WireError(reason, `${detail}, at offset ${cursor.at}`)
}

/** Moves past white space, comments and processing instructions: all that may stand between elements. */
export function skipMisc(cursor: Cursor): void {
  for (;;) {
    skipSpace(cursor)
    if (cursor.text.charCodeAt(cursor.at) !== LESS) return
    const next = cursor.text.charCodeAt(cursor.at + 1)
    if (next === BANG && cursor.text.startsWith('<!--', cursor.at)) skipComment(cursor)
    else if (next === QUESTION) skipInstruction(cursor)
    else return
  }
}

/** Moves past white space. Carriage returns are gone by now: see `plistText`. */
export function skipSpace(cursor: Cursor): void {
  const { text } = cursor
  let { at } = cursor
  for (let c = text.charCodeAt(at); c === TAB || c === LF || c === SPACE; c = text.charCodeAt(++at));
  cursor.at = at
}

/** Whether a closing tag begins here. */
export function atClosingTag(cursor: Cursor): boolean {
  return cursor.text.charCodeAt(cursor.at + 1) === SLASH && cursor.text.charCodeAt(cursor.at) === LESS
}

/** Reads `<name>` or `<name/>` and gives the name. Attributes are refused: a property list has none below `<plist>`. */
export function readTag(cursor: Cursor): string {
  const { text } = cursor
  if (text.charCodeAt(cursor.at) !== LESS) refuse(cursor, 'xml', 'expected an element')
  const start = ++cursor.at
  for (let c = text.charCodeAt(start); c >= 97 && c <= 122; c = text.charCodeAt(++cursor.at));
  const name = text.slice(start, cursor.at)
  skipSpace(cursor)
  cursor.selfClosed = text.charCodeAt(cursor.at) === SLASH
  if (cursor.selfClosed) cursor.at++
  expectGreater(cursor)
  return name
}

/** Reads `</name>`. */
export function readClosingTag(cursor: Cursor, name: string): void {
  if (!atClosingTag(cursor) || !cursor.text.startsWith(name, cursor.at + 2)) {
    refuse(cursor, 'xml', `expected </${name}>`)
  }
  cursor.at += 2 + name.length
  skipSpace(cursor)
  expectGreater(cursor)
}

/** Reads the characters of the element just opened, up to and with its closing tag. `<name/>` has none. */
export function readText(cursor: Cursor, name: string): string {
  if (cursor.selfClosed) return ''
  let text = readRun(cursor)
  while (cursor.text.charCodeAt(cursor.at + 1) === BANG) {
    if (cursor.text.startsWith('<![CDATA[', cursor.at)) text += readCdata(cursor)
    else skipComment(cursor)
    text += readRun(cursor)
  }
  readClosingTag(cursor, name)
  return text
}

/** The characters up to the next '<'. */
function readRun(cursor: Cursor): string {
  const end = cursor.text.indexOf('<', cursor.at)
  if (end < 0) refuse(cursor, 'xml', 'unfinished element')
  const run = cursor.text.slice(cursor.at, end)
  const expanded = run.includes('&') ? expandReferences(cursor, run) : run
  cursor.at = end
  return expanded
}

// Walks by indexOf: String.replace with a function gathers every match first, so a megabyte of '&' would cost 0.4 s.
function expandReferences(cursor: Cursor, run: string): string {
  let out = ''
  let from = 0
  for (let amp = run.indexOf('&'); amp >= 0; amp = run.indexOf('&', from)) {
    const end = run.slice(amp, amp + LONGEST_REFERENCE).indexOf(';') + amp
    const character = end > amp ? referenced(run.slice(amp + 1, end)) : undefined
    if (character === undefined) refuse(cursor, 'entity', 'only the five named entities and character references')
    out += run.slice(from, amp) + character
    from = end + 1
  }
  return out + run.slice(from)
}

function referenced(name: string): string | undefined {
  if (!name.startsWith('#')) return ENTITIES.get(name)
  const digits = /^#x[0-9A-Fa-f]+$/.test(name) ? `0${name.slice(1)}` : /^#[0-9]+$/.test(name) ? name.slice(1) : ''
  return isXmlCharacter(Number(digits)) ? String.fromCodePoint(Number(digits)) : undefined
}

/** XML 1.0, production 2 (Char). */
function isXmlCharacter(code: number): boolean {
  return code === 9 || code === 10 || code === 13 || (code >= 0x20 && code <= 0xD7FF) ||
    (code >= 0xE000 && code <= 0xFFFD) || (code >= 0x10000 && code <= 0x10FFFF)
}

function readCdata(cursor: Cursor): string {
  const start = cursor.at + '<![CDATA['.length
  const end = cursor.text.indexOf(']]>', start)
  if (end < 0) refuse(cursor, 'xml', 'unfinished CDATA section')
  cursor.at = end + ']]>'.length
  return cursor.text.slice(start, end)
}

// XML 1.0 section 2.5: '--' ends a comment or is an error, so parsers cannot differ about where a comment stops.
function skipComment(cursor: Cursor): void {
  if (!cursor.text.startsWith('<!--', cursor.at)) refuse(cursor, 'xml', 'unexpected markup')
  const end = cursor.text.indexOf('--', cursor.at + '<!--'.length)
  if (end < 0 || cursor.text.charCodeAt(end + 2) !== GREATER) refuse(cursor, 'xml', 'unfinished comment')
  cursor.at = end + '-->'.length
}

function skipInstruction(cursor: Cursor): void {
  const end = cursor.text.indexOf('?>', cursor.at)
  if (end < 0 || /^<\?xml\b/i.test(cursor.text.slice(cursor.at, cursor.at + 6))) {
    refuse(cursor, 'xml', 'bad processing instruction')
  }
  cursor.at = end + '?>'.length
}

function expectGreater(cursor: Cursor): void {
  if (cursor.text.charCodeAt(cursor.at) !== GREATER) refuse(cursor, 'xml', 'expected >')
  cursor.at++
}
