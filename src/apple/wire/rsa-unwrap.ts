import { constants, type KeyObject, privateDecrypt, randomBytes } from 'node:crypto'

/**
 * Unwraps a content key of `length` bytes (RSAES-PKCS1-v1_5, RFC 8017 7.2.2). When the padding is wrong the answer is a
 * random key instead of an error, so that what follows fails in the same way as with a wrong content (RFC 3218 2.3.2).
 *
 * The padding is taken off here: Node 20 refuses RSA_PKCS1_PADDING (CVE-2023-46809), 22 and 24 do it inside OpenSSL.
 */
export function unwrapPkcs1(key: KeyObject, wrapped: Buffer, length: number): Buffer {
  const block = privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, wrapped)
  const at = block.length - length
  const instead = randomBytes(length)
  // 0x00 0x02, non-zero bytes, 0x00, key. No branch and no early end depends on the block.
  let wrong = byte(block, 0) | (byte(block, 1) ^ 2) | byte(block, at - 1)
  for (let i = 2; i < at - 1; i++) wrong |= ((byte(block, i) - 1) >> 8) & 1
  const keep = (((wrong | -wrong) >> 31) & 0xff) ^ 0xff
  return Buffer.from(instead.map((random, i) => (byte(block, at + i) & keep) | (random & ~keep)))
}

const byte = (block: Buffer, at: number): number => block[at] as number
