/**
 * The texts of `<integer>`, `<real>`, `<date>` and `<data>`. Each function gives the value, or `undefined` when the
 * text is not exactly one: half a number is not a number.
 */

const DIGITS = /^[+-]?[0-9]{1,20}$/
const HEX = /^[+-]?0[xX][0-9A-Fa-f]{1,16}$/
const REAL = /^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?$/
const DATE = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/
const NOT_FINITE = new Map([
  ['nan', NaN], ['inf', Infinity], ['+inf', Infinity], ['-inf', -Infinity],
  ['infinity', Infinity], ['+infinity', Infinity], ['-infinity', -Infinity],
])

/** A whole number from -2^63 to 2^64-1, decimal or `0x`; `bigint` where a double is not exact. */
export function parseInteger(text: string): number | bigint | undefined {
  const token = trimSpace(text)
  // Adding 0 makes a plain zero of '-0'.
  if (token.length <= 15 && DIGITS.test(token)) return Number(token) + 0
  if (!DIGITS.test(token) && !HEX.test(token)) return undefined
  const magnitude = BigInt(token.replace(/^[+-]/, ''))
  const value = token.startsWith('-') ? -magnitude : magnitude
  if (value < -(2n ** 63n) || value >= 2n ** 64n) return undefined
  return Number.isSafeInteger(Number(value)) ? Number(value) : value
}

/** A floating-point number; `nan` and `infinity` are read in every spelling Apple's own writer has used. */
export function parseReal(text: string): number | undefined {
  const token = trimSpace(text)
  return REAL.test(token) ? Number(token) : NOT_FINITE.get(token.toLowerCase())
}

/** `YYYY-MM-DDTHH:MM:SSZ`, a day that exists. */
export function parseDate(text: string): Date | undefined {
  const token = trimSpace(text)
  if (!DATE.test(token)) return undefined
  const date = new Date(token)
  // V8 reads 30 February as 2 March and 24:00 as the next day.
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(token.slice(0, -1)) ? date : undefined
}

/** Base64 (RFC 4648 section 4) with padding, and any white space between its characters. */
export function parseData(text: string): Buffer | undefined {
  return isBase64(text) ? Buffer.from(text, 'base64') : undefined
}

// Buffer.from skips what it does not know and stops at '=', so it cannot be asked; patterns are slow on white space.
function isBase64(text: string): boolean {
  let digits = 0
  let padding = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (isSpace(c)) continue
    if (c === 61) padding++
    else if (padding === 0 && isBase64Digit(c)) digits++
    else return false
  }
  return padding <= 2 && (digits + padding) % 4 === 0
}

function isBase64Digit(c: number): boolean {
  return (c >= 97 && c <= 122) || (c >= 65 && c <= 90) || (c >= 47 && c <= 57) || c === 43
}

function isSpace(c: number): boolean {
  return c === 32 || c === 10 || c === 9 || c === 13
}

// String.trim would also take off a no-break space, and a pattern such as / +$/ is quadratic.
function trimSpace(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isSpace(text.charCodeAt(start))) start++
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}
