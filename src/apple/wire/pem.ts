import { WireError } from './error.ts'

const MAX_SIZE = 256 * 1024
// RFC 1421 4.6: headers end at an empty line.
const HEADERS = /^\s*((?:[A-Za-z-]+: [^\r\n]*\r?\n)+)\r?\n/

/**
 * One PEM block. `headers` is the text of RFC 1421 headers, which old encrypted keys carry; `der` is then encrypted.
 */
export interface PemBlock {
  label: string
  der: Buffer
  headers?: string
}

/** Writes one PEM block (RFC 7468) with lines of 64 characters. */
export function encodePem(label: string, der: Uint8Array): string {
  const lines = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64').match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}

/** Writes a certificate as PEM. */
export const writeCertificatePem = (der: Uint8Array): string => encodePem('CERTIFICATE', der)

/**
 * Reads every PEM block of a text, in order; text around them is ignored, blocks may follow each other without a line
 * break. Throws `WireError('not_pem')` when there is none, when one is broken, or beyond 256 KiB.
 */
export function decodePem(text: string): PemBlock[] {
  if (text.length > MAX_SIZE) throw new WireError('not_pem', 'larger than 256 KiB')
  const blocks: PemBlock[] = []
  for (let at = text.indexOf('-----BEGIN '); at >= 0; at = text.indexOf('-----BEGIN ', at)) {
    const { block, end } = readBlock(text, at)
    blocks.push(block)
    at = end
  }
  if (blocks.length === 0) throw new WireError('not_pem')
  return blocks
}

function readBlock(text: string, at: number): { block: PemBlock; end: number } {
  const from = at + '-----BEGIN '.length
  const labelEnd = text.indexOf('-----', from)
  const label = text.slice(from, labelEnd)
  if (labelEnd < 0 || !/^[A-Z0-9 ]{1,64}$/.test(label)) throw new WireError('not_pem', 'label')
  const marker = `-----END ${label}-----`
  const bodyFrom = labelEnd + 5
  const bodyEnd = text.indexOf('-----', bodyFrom)
  if (bodyEnd < 0 || !text.startsWith(marker, bodyEnd)) throw new WireError('not_pem', 'a block does not end')
  return { block: { label, ...readBody(text.slice(bodyFrom, bodyEnd)) }, end: bodyEnd + marker.length }
}

function readBody(body: string): { der: Buffer; headers?: string } {
  const [before = '', headers] = HEADERS.exec(body) ?? []
  const base64 = body.slice(before.length).replace(/\s+/g, '')
  const der = Buffer.from(base64, 'base64')
  if (der.length === 0 || der.toString('base64') !== base64) throw new WireError('not_pem', 'base64')
  return { der, ...(headers !== undefined && { headers }) }
}
