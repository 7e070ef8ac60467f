import type { Tx } from '../../base/db.ts'
import type { AttemptId, LinkId } from '../../base/ids.ts'

export type Ownership = 'company' | 'personal'

/** One enrollment link, as it is stored. */
export interface Link {
  id: LinkId
  slug: string
  name: string
  sealedSecrets: Buffer
  codeExpiresAt: Date
  ownership: Ownership
  accessRights: number
  maxUses: number | null
  uses: number
  expiresAt: Date | null
  revokedAt: Date | null
  removableByUser: boolean
  deviceKey: string | null
  /** Its profiles carry a CheckInURL of its own. */
  separateCheckin: boolean
  createdAt: Date
  /** By the database's clock at the moment of reading. */
  expired: boolean
  codeExpired: boolean
}

export interface NewLink {
  id: LinkId
  slug: string
  name: string
  tokenHash: Buffer
  codeHash: Buffer
  sealedSecrets: Buffer
  ownership: Ownership
  accessRights: number
  maxUses: number | null
  expiresAt: Date | null
  removableByUser: boolean
  deviceKey: string | null
  separateCheckin: boolean
  createdBy: string
}

const LINK = `id, slug, name, sealed_secrets as "sealedSecrets", code_expires_at as "codeExpiresAt", ownership,
  access_rights as "accessRights", max_uses as "maxUses", uses, expires_at as "expiresAt", revoked_at as "revokedAt",
  removable_by_user as "removableByUser", device_key as "deviceKey", separate_checkin as "separateCheckin", created_at as "createdAt",
  coalesce(expires_at <= now(), false) as expired, code_expires_at <= now() as "codeExpired"`

const INSERT = {
  name: 'enrollment_links_insert',
  text: `insert into enrollment_links (id, slug, name, token_hash, code_hash, sealed_secrets, code_expires_at,
      ownership, access_rights, max_uses, expires_at, removable_by_user, device_key, separate_checkin, created_at, created_by)
    values ($1, $2, $3, $4, $5, $6, least(now() + interval '72 hours', $10), $7, $8, $9, $10, $11, $12, $13, now(), $14)
    on conflict do nothing
    returning ${LINK}`,
}

/** Undefined when the slug or, once in a million years, a secret is taken. */
export async function insert(tx: Tx, link: NewLink): Promise<Link | undefined> {
  const [row] = await tx.rows<Link>(INSERT, [
    link.id, link.slug, link.name, link.tokenHash, link.codeHash, link.sealedSecrets, link.ownership, link.accessRights,
    link.maxUses, link.expiresAt, link.removableByUser, link.deviceKey, link.separateCheckin, link.createdBy,
  ])
  return row
}

const SLUG_TAKEN = {
  name: 'enrollment_links_slug_taken',
  text: 'select 1 as taken from enrollment_links where slug = $1',
}

export async function isSlugTaken(tx: Tx, slug: string): Promise<boolean> {
  return (await tx.rows(SLUG_TAKEN, [slug])).length > 0
}

const FIND = { name: 'enrollment_links_find', text: `select ${LINK} from enrollment_links where id = $1 or slug = $1` }

/** By id or slug; the two cannot be confused, because a slug has no underscore. */
export async function find(tx: Tx, reference: string): Promise<Link | undefined> {
  const [row] = isPlain(reference) ? await tx.rows<Link>(FIND, [reference]) : []
  return row
}

const BY_TOKEN = {
  name: 'enrollment_links_by_token',
  text: `select ${LINK} from enrollment_links where token_hash = $1`,
}
const BY_CODE = { name: 'enrollment_links_by_code', text: `select ${LINK} from enrollment_links where code_hash = $1` }

export async function findByToken(tx: Tx, hash: Buffer): Promise<Link | undefined> {
  const [row] = await tx.rows<Link>(BY_TOKEN, [hash])
  return row
}

export async function findByCode(tx: Tx, hash: Buffer): Promise<Link | undefined> {
  const [row] = await tx.rows<Link>(BY_CODE, [hash])
  return row
}

const LIST = {
  name: 'enrollment_links_list',
  text: `select ${LINK} from enrollment_links where $1::text is null or id < $1 order by id desc limit $2`,
}

/** Newest first, after the link with the id `after`. */
export function list(tx: Tx, after: string | undefined, limit: number): Promise<Link[]> {
  return tx.rows<Link>(LIST, [after ?? null, limit])
}

const USE = {
  name: 'enrollment_links_use',
  text: `update enrollment_links set uses = uses + 1
    where id = $1 and revoked_at is null and (expires_at is null or expires_at > now())
      and (max_uses is null or uses < max_uses)
    returning ${LINK}`,
}

/** Takes one use and locks the row: of many at once, exactly `max_uses` succeed. Undefined when none is left. */
export async function use(tx: Tx, id: LinkId): Promise<Link | undefined> {
  const [row] = await tx.rows<Link>(USE, [id])
  return row
}

const REVOKE = {
  name: 'enrollment_links_revoke',
  text: 'update enrollment_links set revoked_at = now() where id = $1 and revoked_at is null returning id',
}

/** False when it was revoked before. */
export async function revoke(tx: Tx, id: LinkId): Promise<boolean> {
  return (await tx.rows(REVOKE, [id])).length > 0
}

const OPEN_ATTEMPTS = {
  name: 'enrollment_attempts_open',
  text: `select id from enrollment_attempts where link_id = $1 and step = 'profile_delivered'`,
}

/** Attempts of a link that have a profile, but no identity yet. */
export async function openAttempts(tx: Tx, id: LinkId): Promise<AttemptId[]> {
  const rows = await tx.rows<{ id: AttemptId }>(OPEN_ATTEMPTS, [id])
  return rows.map((row) => row.id)
}

/** Whether a reference can be an id or a slug at all; PostgreSQL refuses some other characters. */
export function isPlain(reference: string): boolean {
  return /^[\w-]{1,64}$/.test(reference)
}
