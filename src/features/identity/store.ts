import type { Tx } from '../../base/db.ts'
import type { AttemptId, EnrollmentId } from '../../base/ids.ts'

export type AuthorityRole = 'device_ca' | 'scep_ra' | 'profile_signer'
export type CertificatePurpose = 'enrollment' | 'renewal'

export interface AuthorityRow {
  role: AuthorityRole
  certificate: Buffer
  sealedKey: Buffer
}

/** What we know of a certificate that our CA issued, or an extra one. */
export interface CertificateRecord {
  sha256: Buffer
  /** Hexadecimal; with `:` and the SHA-256 behind it when an extra CA issued it. */
  serialNumber: string
  purpose: CertificatePurpose
  attemptId: AttemptId | null
  /** The device its challenge was made for, when that was known. */
  deviceKey: string | null
  enrollmentId: EnrollmentId | null
  notAfter: Date
  revokedAt: Date | null
}

export interface NewCertificate {
  sha256: Buffer
  serialNumber: string
  purpose: CertificatePurpose
  attemptId: AttemptId | null
  deviceKey: string | null
  enrollmentId: EnrollmentId | null
  subject: string
  der: Buffer
  notBefore: Date
  notAfter: Date
}

/** One use of a challenge or of a signer: what must be equal for a repeated request to be the same one. */
export interface RequestMark {
  transactionId: string
  csrSha256: Buffer
}

const LOCK = { name: 'authorities_lock', text: 'select pg_advisory_xact_lock(1768187252)' } // one below: idempotency's

/** Held until the end of the transaction: one process at a time makes authorities. */
export async function lockAuthorities(tx: Tx): Promise<void> {
  await tx.rows(LOCK, [])
}

const READ_AUTHORITIES = {
  name: 'authorities_read',
  text: 'select role, certificate, sealed_key as "sealedKey" from authorities',
}

export function readAuthorities(tx: Tx): Promise<AuthorityRow[]> {
  return tx.rows<AuthorityRow>(READ_AUTHORITIES, [])
}

const INSERT_AUTHORITY = {
  name: 'authorities_insert',
  text: 'insert into authorities (role, certificate, sealed_key, created_at) values ($1, $2, $3, $4)',
}

export async function insertAuthority(tx: Tx, row: AuthorityRow, now: Date): Promise<void> {
  await tx.rows(INSERT_AUTHORITY, [row.role, row.certificate, row.sealedKey, now])
}

const RECORD = `sha256, serial_number as "serialNumber", purpose, attempt_id as "attemptId", device_key as "deviceKey",
  enrollment_id::text as "enrollmentId", not_after as "notAfter", revoked_at as "revokedAt"`
const FIND = { name: 'certificates_find', text: `select ${RECORD} from certificates where sha256 = $1` }

export async function find(tx: Tx, sha256: Buffer): Promise<CertificateRecord | undefined> {
  const [row] = await tx.rows<CertificateRecord>(FIND, [sha256])
  return row
}

const FIND_LIVING = {
  name: 'certificates_find_living',
  text: 'select der from certificates where sha256 = $1 and revoked_at is null',
}

/** The certificate itself, unless it was revoked. */
export async function findLiving(tx: Tx, sha256: Buffer): Promise<Buffer | undefined> {
  const [row] = await tx.rows<{ der: Buffer }>(FIND_LIVING, [sha256])
  return row?.der
}

const LOCK_LIVING = {
  name: 'certificates_lock_living',
  text: 'select 1 as living from certificates where sha256 = $1 and revoked_at is null for update',
}

/** Locks a certificate for the rest of the transaction; false when it was revoked. */
export async function lockLiving(tx: Tx, sha256: Buffer): Promise<boolean> {
  return (await tx.rows(LOCK_LIVING, [sha256])).length > 0
}

const INSERT = {
  name: 'certificates_insert',
  text: `insert into certificates (sha256, serial_number, purpose, attempt_id, device_key, enrollment_id, subject, der,
      not_before, not_after, issued_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
}

export async function insert(tx: Tx, row: NewCertificate, now: Date): Promise<void> {
  await tx.rows(INSERT, [
    row.sha256, row.serialNumber, row.purpose, row.attemptId, row.deviceKey, row.enrollmentId, row.subject, row.der,
    row.notBefore, row.notAfter, now,
  ])
}

const INSERT_EXTRA = {
  name: 'certificates_insert_extra',
  text: `insert into certificates (sha256, serial_number, purpose, subject, der, not_before, not_after, issued_at)
    values ($1, $2, 'enrollment', $3, $4, $5, $6, $7) on conflict (sha256) do nothing`,
}

/** Waits for whoever inserts the same certificate at this moment; nothing happens when it is there. */
export async function insertExtra(
  tx: Tx, row: Pick<NewCertificate, 'sha256' | 'serialNumber' | 'subject' | 'der' | 'notBefore' | 'notAfter'>, now: Date,
): Promise<void> {
  await tx.rows(INSERT_EXTRA, [row.sha256, row.serialNumber, row.subject, row.der, row.notBefore, row.notAfter, now])
}

const BIND = {
  name: 'certificates_bind',
  text: `update certificates set enrollment_id = $2
    where sha256 = $1 and enrollment_id is null and revoked_at is null returning sha256`,
}

/** False when the certificate is unknown, revoked, or bound already. */
export async function bind(tx: Tx, sha256: Buffer, enrollmentId: EnrollmentId): Promise<boolean> {
  return (await tx.rows(BIND, [sha256, enrollmentId])).length === 1
}

const REVOKE = {
  name: 'certificates_revoke',
  text: `update certificates set revoked_at = $2, revocation_reason = $3 where sha256 = $1 and revoked_at is null
    returning serial_number as "serialNumber"`,
}
const REVOKE_ALL = {
  name: 'certificates_revoke_all',
  text: `update certificates set revoked_at = $3, revocation_reason = $4
    where enrollment_id = $1 and sha256 is distinct from $2 and revoked_at is null
    returning serial_number as "serialNumber"`,
}

/** The serial numbers of those that were alive until now. */
export function revoke(tx: Tx, sha256: Buffer, now: Date, reason: string): Promise<{ serialNumber: string }[]> {
  return tx.rows(REVOKE, [sha256, now, reason])
}

/** The same for all certificates of an enrollment but one. */
export function revokeAll(
  tx: Tx, enrollmentId: EnrollmentId, except: Buffer | undefined, now: Date, reason: string,
): Promise<{ serialNumber: string }[]> {
  return tx.rows(REVOKE_ALL, [enrollmentId, except ?? null, now, reason])
}
