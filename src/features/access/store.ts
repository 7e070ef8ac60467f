import { and, arrayContains, desc, eq, gt, isNull, lt, lte, ne, or, sql } from 'drizzle-orm'
import type { Scope } from '../../base/api.ts'
import type { Tx } from '../../base/db.ts'
import type { KeyId } from '../../base/ids.ts'
import type { ApiKey } from './keys.ts'
import { apiKeys, setupTokens } from './tables.ts'

/** A key by its hash, judged by the database's clock. */
export interface PresentedKey {
  id: KeyId
  name: string
  scopes: Scope[]
  revoked: boolean
  expired: boolean
  /** Its last use was noted more than a minute ago. */
  stale: boolean
}

const SHOWN = {
  id: sql<KeyId>`${apiKeys.id}`,
  name: apiKeys.name,
  lastFour: apiKeys.lastFour,
  scopes: sql<Scope[]>`${apiKeys.scopes}`,
  createdAt: apiKeys.createdAt,
  createdBy: apiKeys.createdBy,
  expiresAt: apiKeys.expiresAt,
  lastUsedAt: apiKeys.lastUsedAt,
}

const FIND_BY_HASH = {
  name: 'api_key_by_hash',
  text: `select id, name, scopes, revoked_at is not null as revoked, coalesce(expires_at <= now(), false) as expired,
      coalesce(last_used_at < now() - interval '1 minute', true) as stale
    from api_keys where hash = $1`,
}
const TOUCH = {
  name: 'api_key_touch',
  text: `update api_keys set last_used_at = now()
    where id = $1 and coalesce(last_used_at < now() - interval '1 minute', true)`,
}
// Any number that no other advisory lock has.
const LOCK = { name: 'api_keys_lock', text: 'select pg_advisory_xact_lock(1650617963)' }

/** One indexed read; the hash is the only thing a key is found by. */
export async function findByHash(tx: Tx, hash: Buffer): Promise<PresentedKey | undefined> {
  const [row] = await tx.rows<PresentedKey>(FIND_BY_HASH, [hash])
  return row
}

/** Notes a use; of several at the same moment one writes. */
export async function touch(tx: Tx, id: KeyId): Promise<void> {
  await tx.rows(TOUCH, [id])
}

/**
 * One at a time until commit: "is there a key at all?" and "is this the last one?" must stay true until they are acted
 * on.
 */
export async function lockKeys(tx: Tx): Promise<void> {
  await tx.rows(LOCK, [])
}

/** Whether there ever was a key; a revoked one counts, so that revoking never opens the server to a stranger again. */
export async function hasAnyKey(tx: Tx): Promise<boolean> {
  return (await tx.orm.select({ id: apiKeys.id }).from(apiKeys).limit(1)).length > 0
}

const ALIVE_WITH = {
  name: 'api_key_alive_with',
  text: `select 1 from api_keys where $1 = any(scopes) and revoked_at is null and (expires_at is null or expires_at > now()) limit 1`,
}

/** Whether a living key has this scope. */
export async function hasKeyWith(tx: Tx, scope: Scope): Promise<boolean> {
  return (await tx.rows(ALIVE_WITH, [scope])).length > 0
}

export async function insertKey(tx: Tx, key: ApiKey, hash: Buffer): Promise<void> {
  await tx.orm.insert(apiKeys).values({ ...key, hash })
}

export async function findKey(tx: Tx, id: string): Promise<(ApiKey & { revokedAt: Date | null }) | undefined> {
  const [row] = await tx.orm.select({ ...SHOWN, revokedAt: apiKeys.revokedAt }).from(apiKeys).where(eq(apiKeys.id, id))
  return row
}

/** Keys that are not revoked, newest first, after the one with the id `before`. */
export async function listKeys(tx: Tx, before: string | undefined, limit: number): Promise<ApiKey[]> {
  const wanted = and(isNull(apiKeys.revokedAt), before === undefined ? undefined : lt(apiKeys.id, before))
  return tx.orm.select(SHOWN).from(apiKeys).where(wanted).orderBy(desc(apiKeys.id)).limit(limit)
}

/** Whether a living key other than this one has the scope admin. */
export async function hasOtherAdmin(tx: Tx, id: string): Promise<boolean> {
  const alive = and(isNull(apiKeys.revokedAt), or(isNull(apiKeys.expiresAt), gt(apiKeys.expiresAt, sql`now()`)))
  const others = and(ne(apiKeys.id, id), arrayContains(apiKeys.scopes, ['admin']), alive)
  return (await tx.orm.select({ id: apiKeys.id }).from(apiKeys).where(others).limit(1)).length > 0
}

export async function revokeKey(tx: Tx, id: string, now: Date): Promise<void> {
  await tx.orm.update(apiKeys).set({ revokedAt: now }).where(eq(apiKeys.id, id))
}

/** Stores a setup token and forgets those that are over. */
export async function insertSetupToken(tx: Tx, hash: Buffer, now: Date, expiresAt: Date): Promise<void> {
  await tx.orm.delete(setupTokens).where(lte(setupTokens.expiresAt, now))
  await tx.orm.insert(setupTokens).values({ hash, expiresAt })
}

/** Uses up a setup token; false when it is unknown, used or over. */
export async function useSetupToken(tx: Tx, hash: Buffer, now: Date): Promise<boolean> {
  const open = and(eq(setupTokens.hash, hash), isNull(setupTokens.usedAt), gt(setupTokens.expiresAt, now))
  const used = await tx.orm.update(setupTokens).set({ usedAt: now }).where(open).returning({ at: setupTokens.usedAt })
  return used.length === 1
}
