import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { OID } from './oids.ts'

/** Content ciphers we read. Only three of them are ever written. */
export type ContentCipher = 'aes-128-cbc' | 'aes-192-cbc' | 'aes-256-cbc' | 'des-ede3-cbc' | 'des-cbc'

interface CipherFacts {
  oid: string
  keySize: number
  blockSize: number
}

export const CIPHERS: Record<ContentCipher, CipherFacts> = {
  'aes-128-cbc': { oid: OID.aes128, keySize: 16, blockSize: 16 },
  'aes-192-cbc': { oid: OID.aes192, keySize: 24, blockSize: 16 },
  'aes-256-cbc': { oid: OID.aes256, keySize: 32, blockSize: 16 },
  'des-ede3-cbc': { oid: OID.tripleDes, keySize: 24, blockSize: 8 },
  'des-cbc': { oid: OID.des, keySize: 8, blockSize: 8 },
}
const byOid = new Map(Object.entries(CIPHERS).map(([name, { oid }]) => [oid, name as ContentCipher]))

/** The cipher with this OID, if it is one we read. */
export const findCipher = (oid: string): ContentCipher | undefined => byOid.get(oid)

/** Encrypts under a new random key. */
export function encrypt(cipher: ContentCipher, content: Uint8Array): { key: Buffer; iv: Buffer; encrypted: Buffer } {
  const key = randomBytes(CIPHERS[cipher].keySize)
  const iv = randomBytes(CIPHERS[cipher].blockSize)
  const engine = createCipheriv(cipher, key, iv)
  return { key, iv, encrypted: Buffer.concat([engine.update(content), engine.final()]) }
}

/** Decrypts; throws what OpenSSL throws. */
export function decrypt(cipher: ContentCipher, key: Buffer, iv: Buffer, encrypted: Buffer): Buffer {
  // OpenSSL 3 has put single DES away; triple DES with one key three times over is the same function.
  const isDes = cipher === 'des-cbc'
  const engine = createDecipheriv(isDes ? 'des-ede3-cbc' : cipher, isDes ? Buffer.concat([key, key, key]) : key, iv)
  return Buffer.concat([engine.update(encrypted), engine.final()])
}
