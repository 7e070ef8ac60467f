import { createHash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { SCOPES, allows, type Principal, type Scope } from '../../base/api.ts'
import { newId, type KeyId } from '../../base/ids.ts'
import { Problem } from '../../base/problem.ts'
import { actorName, type Work } from '../../base/work.ts'
import * as store from './store.ts'

/** An API key as it may be shown; never the key itself. */
export interface ApiKey {
  id: KeyId
  name: string
  lastFour: string
  scopes: Scope[]
  createdAt: Date
  createdBy: string
  expiresAt: Date | null
  lastUsedAt: Date | null
}

/** An API key at the one moment when its token is known. */
export interface NewApiKey extends ApiKey {
  token: string
}

export interface KeyRequest {
  name: string
  scopes: readonly Scope[]
  expiresAt?: Date | null
}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const DIGITS = 43 // 62^43 > 2^256

/** Makes a key and stores its hash; the token in the answer is shown once and kept nowhere. */
export async function createKey(work: Work, request: KeyRequest): Promise<NewApiKey> {
  return storeKey(work, newToken(), request)
}

/**
 * `createKey` for somebody who holds a key: nobody can give away more than they have, nor make a key that is dead
 * already.
 */
export async function grantKey(work: Work, grantor: Principal, request: KeyRequest): Promise<NewApiKey> {
  const lacking = request.scopes.find((scope) => !allows(grantor, scope))
  if (lacking) {
    const detail = `To give the scope ${lacking} a key must have it.`
    throw new Problem('missing_scope', detail, { extra: { scope: lacking } })
  }
  if (request.expiresAt && request.expiresAt <= work.now) {
    const errors = [{ pointer: '/expires_at', code: 'past', detail: 'must be in the future' }]
    throw new Problem('validation_failed', undefined, { errors })
  }
  return createKey(work, request)
}

/** Stores a key whose text somebody else chose. */
export async function storeKey(work: Work, token: string, request: KeyRequest): Promise<NewApiKey> {
  const key: ApiKey = {
    id: newId('key'),
    name: request.name,
    lastFour: token.slice(-4),
    scopes: SCOPES.filter((scope) => request.scopes.includes(scope)),
    createdAt: work.now,
    createdBy: actorName(work.actor),
    expiresAt: request.expiresAt ?? null,
    lastUsedAt: null,
  }
  await store.insertKey(work.tx, key, hashOf(token))
  await work.emit({ type: 'api_key.created', api_key: key.id, scopes: key.scopes })
  return { ...key, token }
}

/**
 * Ends a key at once, in every process. Doing it again changes nothing. Throws `not_found`, and `last_admin_key` when
 * nobody could make keys afterwards.
 */
export async function revokeKey(work: Work, id: string): Promise<void> {
  await store.lockKeys(work.tx)
  const key = await store.findKey(work.tx, id)
  if (!key) throw new Problem('not_found')
  if (key.revokedAt) return
  if (key.scopes.includes('admin') && !(await store.hasOtherAdmin(work.tx, id))) throw new Problem('last_admin_key')
  await store.revokeKey(work.tx, id, work.now)
  await work.emit({ type: 'api_key.revoked', api_key: key.id })
}

/**
 * SHA-256 of the whole key: it has 256 random bits (or was chosen by an operator), so a fast hash does not help a
 * thief.
 */
export function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

/**
 * `brm_live_`, 32 random bytes in base62, and a CRC-32 of all that in hex, which lets secret scanners avoid false
 * alarms.
 */
function newToken(): string {
  const body = `brm_live_${base62(randomBytes(32))}`
  return `${body}_${crc32(body).toString(16).padStart(8, '0')}`
}

function base62(bytes: Buffer): string {
  let rest = BigInt(`0x${bytes.toString('hex')}`)
  let text = ''
  for (let i = 0; i < DIGITS; i++, rest /= 62n) text = BASE62.charAt(Number(rest % 62n)) + text
  return text
}
