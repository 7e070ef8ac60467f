import { randomBytes } from 'node:crypto'
import { encodeBits, type LinkId } from '../../base/ids.ts'
import type { Vault } from '../../base/vault.ts'

/** What opens a link: 128 random bits for URL and QR code, and 8 characters to type. */
export interface LinkSecrets {
  token: string
  code: string
}

/** What somebody came with. */
export type Presented = { token: string } | { code: string }

/** New secrets: the token in base64url (22 characters), the code in Crockford's base32 (8 characters, 40 bits). */
export function makeSecrets(): LinkSecrets {
  return { token: randomBytes(16).toString('base64url'), code: encodeBits(randomBytes(5)) }
}

/**
 * Reads the last part of an enrollment URL, or what was typed. O and 0, I, L and 1 are one; case, dashes and spaces do
 * not matter. Undefined for what can be neither.
 */
export function readPresented(text: string): Presented | undefined {
  if (/^[A-Za-z0-9_-]{22}$/.test(text)) return { token: text }
  const code = text.slice(0, 40).toUpperCase().replace(/[-\s]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1')
  return /^[0-9A-HJKMNP-TV-Z]{8}$/.test(code) ? { code } : undefined
}

/** `K7Q4-M2XP`: as people read it. */
export function showCode(code: string): string {
  return `${code.slice(0, 4)}-${code.slice(4)}`
}

/** The keyed hashes that links are found by. */
export function hashOf(vault: Vault, presented: Presented): Buffer {
  if ('token' in presented) return vault.fingerprint(presented.token, 'enrollment-token')
  return vault.fingerprint(presented.code, 'enrollment-code')
}

/** Sealed, to be shown again to who may read the link. */
export function sealSecrets(vault: Vault, id: LinkId, secrets: LinkSecrets): Buffer {
  return vault.seal(Buffer.from(JSON.stringify(secrets)), placeOf(id))
}

export function openSecrets(vault: Vault, id: LinkId, sealed: Buffer): LinkSecrets {
  return JSON.parse(vault.open(sealed, placeOf(id)).toString()) as LinkSecrets
}

/** The 128-bit token of a link, as the last part of its URL. */
export function openLinkToken(vault: Vault, link: { id: LinkId; sealedSecrets: Buffer }): string {
  return openSecrets(vault, link.id, link.sealedSecrets).token
}

function placeOf(id: LinkId): string {
  return `enrollment_links.sealed_secrets:${id}`
}
