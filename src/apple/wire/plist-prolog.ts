import { readClosingTag, refuse, skipMisc, type Cursor } from './plist-xml.ts'

/** The lines with which Apple's own writer begins, and ours. */
export const APPLE_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n' +
  '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n' +
  '<plist version="1.0">\n'

// Everything before the value fits in this many characters, comments apart; it keeps the patterns below cheap.
const LONGEST_TAG = 512
const DECLARATION = new RegExp('^<\\?xml\\s+version\\s*=\\s*(["\'])1\\.[0-9]\\1' +
  '(?:\\s+encoding\\s*=\\s*(["\'])([A-Za-z0-9._-]+)\\2)?(?:\\s+standalone\\s*=\\s*(["\'])(?:yes|no)\\4)?\\s*\\?>')
const ENCODINGS = new Set(['utf-8', 'us-ascii'])
const DOCTYPE = new RegExp('^<!DOCTYPE\\s+plist\\s+PUBLIC\\s+(["\'])-//Apple(?: Computer)?//DTD PLIST 1\\.0//EN\\1' +
  '\\s+(?:"[^"<]*"|\'[^\'<]*\')\\s*>')
const PLIST = /^<plist(?:\s+version\s*=\s*(?:"1\.0"|'1\.0'))?\s*>/

/**
 * Reads what stands before the value: XML declaration, DOCTYPE and `<plist>`. The DOCTYPE is checked and never
 * followed; only Apple's passes, and one with an internal subset, the place where entities are made, does not.
 */
export function readProlog(cursor: Cursor): void {
  // What devices send; half the time of a short message would go into the patterns.
  if (cursor.text.startsWith(APPLE_HEAD)) cursor.at = APPLE_HEAD.length
  else readHead(cursor)
  skipMisc(cursor)
}

function readHead(cursor: Cursor): void {
  readDeclaration(cursor)
  skipMisc(cursor)
  if (cursor.text.startsWith('<!', cursor.at)) readPattern(cursor, DOCTYPE, 'doctype', "expected Apple's plist DOCTYPE")
  skipMisc(cursor)
  readPattern(cursor, PLIST, 'root', 'expected <plist version="1.0">')
}

/** Reads what stands after the value: `</plist>` and then nothing. */
export function readEpilog(cursor: Cursor): void {
  skipMisc(cursor)
  readClosingTag(cursor, 'plist')
  skipMisc(cursor)
  if (cursor.at < cursor.text.length) refuse(cursor, 'root', 'content after </plist>')
}

function readDeclaration(cursor: Cursor): void {
  if (!/^<\?xml\s/.test(cursor.text.slice(0, 6))) return
  const encoding = readPattern(cursor, DECLARATION, 'xml', 'bad XML declaration')[3] ?? 'utf-8'
  if (!ENCODINGS.has(encoding.toLowerCase())) refuse(cursor, 'charset', 'declared as something other than UTF-8')
}

function readPattern(cursor: Cursor, pattern: RegExp, reason: string, detail: string): RegExpExecArray {
  const match = pattern.exec(cursor.text.slice(cursor.at, cursor.at + LONGEST_TAG))
  if (match === null) return refuse(cursor, reason, detail)
  cursor.at += match[0].length
  return match
}
