import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto'

/** Bytes that only the vault can open: version, nonce, tag, ciphertext. */
export type Sealed = Buffer & { readonly sealed: unique symbol }

/**
 * Encrypts what devices and Apple entrust to us (AES-256-GCM, master key from outside the database). The place of a value
 * (`table.column:row`) is authenticated with it, so that a value moved to another row cannot be opened.
 */
export interface Vault {
  seal(plain: Uint8Array, place: string): Sealed
  /** Throws VaultError when the key, the place or a byte is wrong. */
  open(sealed: Uint8Array, place: string): Buffer
  /** Keyed hash (HMAC-SHA-256) for short secrets that must be found by value, such as enrollment codes. */
  fingerprint(secret: string, purpose: string): Buffer
}

/** The value was sealed with another key, for another place, or was changed. */
export class VaultError extends Error {
  override name = 'VaultError'
}

const VERSION = 1
const NONCE = 12
const TAG = 16

/** A vault over one master key of 32 bytes. */
export function openVault(masterKey: Buffer): Vault {
  if (masterKey.length !== 32) throw new VaultError('the master key must have 32 bytes')
  const sealingKey = derive(masterKey, 'bramley seal v1')
  const hashingKey = derive(masterKey, 'bramley fingerprint v1')
  return {
    seal: (plain, place) => seal(sealingKey, plain, place),
    open: (sealed, place) => open(sealingKey, sealed, place),
    fingerprint: (secret, purpose) => createHmac('sha256', hashingKey).update(`${purpose}\0${secret}`).digest(),
  }
}

function derive(masterKey: Buffer, label: string): Buffer {
  return Buffer.from(hkdfSync('sha256', masterKey, Buffer.alloc(0), label, 32))
}

function seal(key: Buffer, plain: Uint8Array, place: string): Sealed {
  const nonce = randomBytes(NONCE)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(place))
  const body = Buffer.concat([cipher.update(plain), cipher.final()])
  return Buffer.concat([Buffer.from([VERSION]), nonce, cipher.getAuthTag(), body]) as Sealed
}

function open(key: Buffer, sealed: Uint8Array, place: string): Buffer {
  const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
  if (bytes.length < 1 + NONCE + TAG || bytes[0] !== VERSION) throw new VaultError('not a sealed value')
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(1, 1 + NONCE), { authTagLength: TAG })
    .setAAD(Buffer.from(place))
    .setAuthTag(bytes.subarray(1 + NONCE, 1 + NONCE + TAG))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(1 + NONCE + TAG)), decipher.final()])
  } catch (cause) {
    throw new VaultError(`cannot open ${place}`, { cause })
  }
}
