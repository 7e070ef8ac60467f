import { header } from './der-writer.ts'
import { WireError } from './error.ts'

const MAX_SIZE = 16 * 1024 * 1024
const MAX_DEPTH = 64
const MAX_VALUES = 50_000
const OCTET_STRING = 0x04
const CHUNKED_OCTET_STRING = 0x24
const NO_HEADER = Buffer.alloc(0)

// Bytes of the result: a part of the input that stays as it is, or a header that is written anew.
interface Piece {
  bytes: Buffer
  from: number
  to: number
}

// A constructed value we are inside of. Its first piece is kept free for a header of its own.
interface Frame {
  tag: number
  start: number
  end: number
  indefinite: boolean
  rewrite: boolean
  firstPiece: number
  sizeBefore: number
}

interface Reading {
  bytes: Buffer
  at: number
  frames: Frame[]
  pieces: Piece[]
  size: number
  values: number
}

interface Header {
  tag: number
  body: number
  length: number
  indefinite: boolean
  minimal: boolean
}

/**
 * Turns BER (X.690) into DER as far as CMS needs it: indefinite and non-minimal lengths become definite and minimal,
 * OCTET STRINGs sent in chunks become whole. Real iPhones sign with indefinite lengths. Bytes that are DER already come
 * back as they are, not copied; certificates inside keep their bytes, and so their fingerprint.
 *
 * One pass with a stack of its own: at most 64 levels, 50 000 values and 16 MiB, else `WireError('asn1')`.
 */
export function toDer(input: Uint8Array): Buffer {
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.byteLength)
  if (bytes.length > MAX_SIZE) throw new WireError('asn1', 'too large')
  const reading: Reading = { bytes, at: 0, frames: [], pieces: [], size: 0, values: 0 }
  do {
    const inside = reading.frames.at(-1)
    if (inside && endsHere(reading, inside)) leave(reading)
    else read(reading, inside)
  } while (reading.frames.length > 0)
  if (reading.at !== bytes.length) throw new WireError('asn1', 'bytes after the value')
  return assemble(reading)
}

function read(reading: Reading, parent: Frame | undefined): void {
  if (++reading.values > MAX_VALUES) throw new WireError('asn1', 'too many values')
  const limit = parent?.end ?? reading.bytes.length
  const found = readHeader(reading.bytes, reading.at, limit)
  checkTag(found, parent)
  if (found.tag & 0x20) step(reading, found, limit)
  else copy(reading, found, parent)
}

function step(reading: Reading, { tag, body, length, indefinite, minimal }: Header, limit: number): void {
  if (reading.frames.length === MAX_DEPTH) throw new WireError('asn1', 'too deep')
  const rewrite = indefinite || !minimal || tag === CHUNKED_OCTET_STRING
  const end = indefinite ? limit : body + length
  const { at: start, pieces, size: sizeBefore } = reading
  reading.frames.push({ tag, start, end, indefinite, rewrite, firstPiece: pieces.length, sizeBefore })
  pieces.push(pieceOf(NO_HEADER))
  reading.at = body
}

function copy(reading: Reading, { tag, body, length, minimal }: Header, parent: Frame | undefined): void {
  const end = body + length
  if (parent?.tag === CHUNKED_OCTET_STRING) keep(reading, body, end)
  else if (minimal) keep(reading, reading.at, end)
  else {
    const newHeader = header(tag, length)
    reading.pieces.push(pieceOf(newHeader))
    reading.size += newHeader.length
    keep(reading, body, end)
    if (parent) parent.rewrite = true
  }
  reading.at = end
}

function leave(reading: Reading): void {
  const frame = reading.frames.pop() as Frame
  if (!frame.rewrite) {
    reading.pieces.length = frame.firstPiece
    reading.size = frame.sizeBefore
    return keep(reading, frame.start, frame.end)
  }
  const parent = reading.frames.at(-1)
  if (parent) parent.rewrite = true
  if (parent?.tag === CHUNKED_OCTET_STRING) return
  const tag = frame.tag === CHUNKED_OCTET_STRING ? OCTET_STRING : frame.tag
  const ownHeader = header(tag, reading.size - frame.sizeBefore)
  reading.pieces[frame.firstPiece] = pieceOf(ownHeader)
  reading.size += ownHeader.length
}

function endsHere(reading: Reading, frame: Frame): boolean {
  if (!frame.indefinite) return reading.at === frame.end
  const { bytes, at } = reading
  if (at + 2 > frame.end || bytes[at] !== 0 || bytes[at + 1] !== 0) return false
  reading.at += 2
  return true
}

function readHeader(bytes: Buffer, at: number, limit: number): Header {
  if (at + 2 > limit) throw new WireError('asn1', 'truncated')
  const tag = bytes[at] as number
  const first = bytes[at + 1] as number
  if (first === 0x80) return { tag, body: at + 2, length: 0, indefinite: true, minimal: false }
  const body = at + 2 + (first > 0x80 ? first & 0x7f : 0)
  // More than four length bytes would be gigabytes, or padding nobody sends.
  if (body - at > 6 || body > limit) throw new WireError('asn1', 'length form')
  const length = first < 0x80 ? first : bytes.readUIntBE(at + 2, body - at - 2)
  if (length > limit - body) throw new WireError('asn1', 'length runs over the end')
  const minimal = first < 0x80 || (length >= 0x80 && bytes[at + 2] !== 0)
  return { tag, body, length, indefinite: false, minimal }
}

function checkTag({ tag, indefinite }: Header, parent: Frame | undefined): void {
  const number = tag & 0x1f
  const constructed = (tag & 0x20) !== 0
  const universal = (tag & 0xc0) === 0
  const holdsValues = number === 0x10 || number === 0x11
  if (number === 0x1f) throw new WireError('asn1', 'high tag number')
  const formFits = !universal || constructed === holdsValues || tag === CHUNKED_OCTET_STRING
  if (!formFits) throw new WireError('asn1', 'form of tag')
  if (tag === 0) throw new WireError('asn1', 'end of contents where nothing ends')
  if (indefinite && !constructed) throw new WireError('asn1', 'primitive value of indefinite length')
  if (parent?.tag !== CHUNKED_OCTET_STRING) return
  if (tag !== OCTET_STRING && tag !== CHUNKED_OCTET_STRING) throw new WireError('asn1', 'chunk of another type')
}

// Keeps bytes of the input; what follows the last piece directly becomes part of it.
function keep(reading: Reading, from: number, to: number): void {
  const { bytes, pieces } = reading
  reading.size += to - from
  const last = pieces[pieces.length - 1]
  if (last && last.bytes === bytes && last.to === from) last.to = to
  else pieces.push({ bytes, from, to })
}

const pieceOf = (bytes: Buffer): Piece => ({ bytes, from: 0, to: bytes.length })

function assemble({ pieces }: Reading): Buffer {
  const parts = pieces.map(({ bytes, from, to }) => bytes.subarray(from, to))
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
}
