import type { Tx } from '../../base/db.ts'
import type { AttemptId, EnrollmentId } from '../../base/ids.ts'
import type { RequestMark } from './store.ts'

/** What a challenge was made for. */
export interface ChallengeGrant {
  /** Null for a device that came from another server. */
  attemptId: AttemptId | null
  deviceKey: string | null
  /** Whose next identity it is for; null for a first one. */
  enrollmentId: EnrollmentId | null
}

/** What was asked for before, and what it got; `recent` means within ten minutes. */
export type EarlierUse = RequestMark & { certificateSha256: Buffer; recent: boolean }

// The database's clock decides on both ends: processes may disagree about the time.
const INSERT = {
  name: 'scep_challenges_insert',
  text: `insert into scep_challenges (hash, attempt_id, device_key, enrollment_id, expires_at)
    values ($1, $2, $3, $4, now() + interval '1 hour')
    returning expires_at as "expiresAt"`,
}

/** Returns when it ends. */
export async function insert(tx: Tx, hash: Buffer, grant: ChallengeGrant): Promise<Date> {
  const [row] = await tx.rows<{ expiresAt: Date }>(INSERT, [hash, grant.attemptId, grant.deviceKey, grant.enrollmentId])
  if (!row) throw new Error('the challenge was not written')
  return row.expiresAt
}

const VOID = {
  name: 'scep_challenges_void',
  text: `update scep_challenges set expires_at = now()
    where attempt_id = any($1) and used_at is null and expires_at > now()`,
}

/** Ends the unused challenges of these attempts. */
export async function end(tx: Tx, attemptIds: AttemptId[]): Promise<void> {
  await tx.rows(VOID, [attemptIds])
}

const VOID_RENEWAL = {
  name: 'scep_challenges_void_renewal',
  text: 'update scep_challenges set expires_at = now() where enrollment_id = $1 and used_at is null and expires_at > now()',
}

/** Ends the unused renewal challenges of an enrollment. */
export async function endRenewals(tx: Tx, enrollmentId: EnrollmentId): Promise<void> {
  await tx.rows(VOID_RENEWAL, [enrollmentId])
}

const WHOSE = { name: 'scep_challenges_whose', text: 'select enrollment_id::text as id from scep_challenges where hash = $1' }

/** Whose next identity a challenge is for; undefined for a first one, and for what is no challenge. */
export async function findEnrollment(tx: Tx, hash: Buffer): Promise<EnrollmentId | undefined> {
  const [row] = await tx.rows<{ id: EnrollmentId | null }>(WHOSE, [hash])
  return row?.id ?? undefined
}

const CONSUME = {
  name: 'scep_challenges_consume',
  text: `update scep_challenges set used_at = now(), transaction_id = $2, csr_sha256 = $3
    where hash = $1 and used_at is null and expires_at > now()
    returning attempt_id as "attemptId", device_key as "deviceKey", enrollment_id::text as "enrollmentId"`,
}

/** Uses a challenge up. Of any number of transactions that try at once, one gets the grant and the others nothing. */
export async function consume(tx: Tx, hash: Buffer, mark: RequestMark): Promise<ChallengeGrant | undefined> {
  const [row] = await tx.rows<ChallengeGrant>(CONSUME, [hash, mark.transactionId, mark.csrSha256])
  return row
}

const SETTLE = {
  name: 'scep_challenges_settle',
  text: 'update scep_challenges set certificate_sha256 = $2 where hash = $1',
}

/** Remembers what the challenge was given for, so that the same request again gets the same certificate. */
export async function settle(tx: Tx, hash: Buffer, certificateSha256: Buffer): Promise<void> {
  await tx.rows(SETTLE, [hash, certificateSha256])
}

const USED = {
  name: 'scep_challenges_used',
  text: `select transaction_id as "transactionId", csr_sha256 as "csrSha256", certificate_sha256 as "certificateSha256",
      used_at > now() - interval '10 minutes' as recent
    from scep_challenges where hash = $1 and used_at is not null`,
}

/** The use of a challenge that was used. */
export async function findUse(tx: Tx, hash: Buffer): Promise<EarlierUse | undefined> {
  const [row] = await tx.rows<EarlierUse>(USED, [hash])
  return row
}

const KNOWN = { name: 'scep_challenges_known', text: 'select 1 as known from scep_challenges where hash = $1' }

export async function isKnown(tx: Tx, hash: Buffer): Promise<boolean> {
  return (await tx.rows(KNOWN, [hash])).length > 0
}

const FIND_RENEWAL = {
  name: 'scep_renewals_find',
  text: `select transaction_id as "transactionId", csr_sha256 as "csrSha256", certificate_sha256 as "certificateSha256",
      issued_at > now() - interval '10 minutes' as recent
    from scep_renewals where signer_sha256 = $1 and transaction_id = $2`,
}

/** What a signer got for this transaction before. */
export async function findRenewal(
  tx: Tx, signerSha256: Buffer, transactionId: string,
): Promise<EarlierUse | undefined> {
  const [row] = await tx.rows<EarlierUse>(FIND_RENEWAL, [signerSha256, transactionId])
  return row
}

const COUNT_RENEWALS = {
  name: 'scep_renewals_count',
  text: 'select count(*) as count from scep_renewals where signer_sha256 = $1',
}

/** How many certificates this signer got. */
export async function countRenewals(tx: Tx, signerSha256: Buffer): Promise<number> {
  const [row] = await tx.rows<{ count: number }>(COUNT_RENEWALS, [signerSha256])
  return row?.count ?? 0
}

const INSERT_RENEWAL = {
  name: 'scep_renewals_insert',
  text: `insert into scep_renewals (signer_sha256, transaction_id, csr_sha256, certificate_sha256, issued_at)
    values ($1, $2, $3, $4, now())`,
}

export async function insertRenewal(
  tx: Tx, signerSha256: Buffer, mark: RequestMark, certificateSha256: Buffer,
): Promise<void> {
  await tx.rows(INSERT_RENEWAL, [signerSha256, mark.transactionId, mark.csrSha256, certificateSha256])
}
