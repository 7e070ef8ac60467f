import { randomBytes } from 'node:crypto'
import type { AttemptId, EnrollmentId } from '../../base/ids.ts'
import type { Vault } from '../../base/vault.ts'
import type { Work } from '../../base/work.ts'
import * as store from './challenge-store.ts'

/**
 * A new SCEP challenge: 256 random bits in base64url, good for one certificate within one hour. Make it when a profile
 * is delivered, not earlier. With `deviceKey` the certificate will speak for that device only.
 */
export async function mintChallenge(
  work: Work, vault: Vault, purpose: { attemptId: AttemptId; deviceKey?: string | null },
): Promise<string> {
  const { attemptId, deviceKey = null } = purpose
  const challenge = randomBytes(32).toString('base64url')
  await store.insert(work.tx, challengeHash(vault, challenge), { attemptId, deviceKey, enrollmentId: null })
  return challenge
}

/** A challenge that was made for a renewal, and when it ends. */
export interface RenewalChallenge {
  challenge: string
  expiresAt: Date
}

/**
 * A challenge for the next identity of an enrollment that stands: the certificate is bound to it from the beginning, so that its first
 * message is a renewal and no new enrollment. One is outstanding at a time; an earlier one ends. The caller holds the enrollment's lock.
 */
export async function mintRenewalChallenge(
  work: Work, vault: Vault, purpose: { enrollmentId: EnrollmentId; attemptId: AttemptId | null; deviceKey: string },
): Promise<RenewalChallenge> {
  const challenge = randomBytes(32).toString('base64url')
  await store.endRenewals(work.tx, purpose.enrollmentId)
  return { challenge, expiresAt: await store.insert(work.tx, challengeHash(vault, challenge), purpose) }
}

/** Ends the unused challenges of these attempts: profiles delivered with them get no certificate any more. */
export async function voidChallenges(work: Work, attemptIds: AttemptId[]): Promise<void> {
  if (attemptIds.length > 0) await store.end(work.tx, attemptIds)
}

/** Challenges are found by this keyed hash, so that comparing them takes no time that depends on the secret. */
export function challengeHash(vault: Vault, challenge: string): Buffer {
  return vault.fingerprint(challenge, 'scep-challenge')
}
