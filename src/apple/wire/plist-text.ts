import { isAscii, isUtf8 } from 'node:buffer'
import { WireError } from './error.ts'

// Anything but XML 1.0's Char (production 2). Well-formed UTF-8 has no lone surrogate, so the range may span them.
const FORBIDDEN = /[^\t\n\r\u0020-\uFFFD]/
const LF = 10, CR = 13

/**
 * The characters of an XML property list: exact UTF-8, a byte order mark taken off, line ends as `\n` (XML 1.0
 * section 2.11). Throws WireError 'bplist' for the binary form, 'charset' for other encodings, 'character' for
 * characters that XML forbids.
 */
export function plistText(bytes: Uint8Array): string {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const text = decodeUtf8(buffer.includes(CR) ? unifyLineEnds(buffer) : buffer)
  if (FORBIDDEN.test(text)) throw new WireError('character', `not allowed in XML, at offset ${text.search(FORBIDDEN)}`)
  return text
}

function decodeUtf8(bytes: Buffer): string {
  if (bytes[0] === 0x62 && bytes.toString('latin1', 0, 6) === 'bplist') throw new WireError('bplist', 'binary form')
  // A one-byte string is the fast path of everything that follows, and nearly every message is ASCII.
  if (isAscii(bytes)) return bytes.toString('latin1')
  if (!isUtf8(bytes)) throw new WireError('charset', 'not UTF-8')
  const text = bytes.toString('utf8')
  return text.startsWith('\uFEFF') ? text.slice(1) : text
}

// On bytes, because eight megabytes of carriage returns keep String.replaceAll busy for half a second.
function unifyLineEnds(bytes: Buffer): Buffer {
  const unified = Buffer.from(bytes)
  let length = 0
  let previous = 0
  for (const byte of bytes) {
    if (byte !== LF || previous !== CR) unified[length++] = byte === CR ? LF : byte
    previous = byte
  }
  return unified.subarray(0, length)
}
