import { hash } from 'node:crypto'
import type { Csr } from '../../apple/wire/csr.ts'
import { readCertificate, type Certificate } from '../../apple/wire/x509.ts'
import type { Deps } from '../../base/deps.ts'
import type { Tx } from '../../base/db.ts'
import type { Work } from '../../base/work.ts'
import * as challenges from './challenge-store.ts'
import { challengeHash } from './challenges.ts'
import { issue, type Issuer } from './issue.ts'
import type { ScepHooks } from './renew.ts'
import { ScepRefused } from './scep-refused.ts'
import * as store from './store.ts'
import type { RequestMark } from './store.ts'

/** What a signed SCEP message asks for. */
export interface SignedRequest {
  transactionId: string
  signer: Certificate
  csr: Csr
}

/**
 * A certificate (PKCSReq), paid for with a challenge: a first one, or the next one of the enrollment that the challenge was made for. The challenge is used up in the transaction that records
 * the certificate: both or neither. The same request again within ten minutes gets the same certificate, because its
 * answer may have been lost. Throws ScepRefused.
 */
export async function enroll(deps: Deps, issuer: Issuer, request: SignedRequest, hooks: ScepHooks): Promise<Certificate> {
  const { csr, signer } = request
  // Only the holder of the key may ask: the outer signature must be by the key that wants the certificate.
  if (!csr.spki.equals(signer.spki)) throw new ScepRefused('signer_key')
  if (csr.challengePassword === undefined || csr.challengePassword === '') throw new ScepRefused('challenge')
  const challenge = challengeHash(deps.vault, csr.challengePassword)
  return deps.work({ kind: 'system' }, (work) => redeem(work, issuer, challenge, csr, markOf(request), hooks))
}

async function redeem(
  work: Work, issuer: Issuer, challenge: Buffer, csr: Csr, mark: RequestMark, hooks: ScepHooks,
): Promise<Certificate> {
  await lockStanding(work.tx, challenge, hooks)
  const grant = await challenges.consume(work.tx, challenge, mark)
  if (!grant) return repeat(work.tx, await findUse(work.tx, challenge), mark, 'challenge_used')
  const certificate = await issue(work, issuer, csr.spki, grant)
  await challenges.settle(work.tx, challenge, certificate.sha256)
  return certificate
}

/** The enrollment that a renewal challenge is for, before the challenge: whoever makes one locks in this order too. */
async function lockStanding(tx: Tx, challenge: Buffer, hooks: ScepHooks): Promise<void> {
  const enrollment = await challenges.findEnrollment(tx, challenge)
  if (enrollment !== undefined && !(await hooks.stands(tx, enrollment))) throw new ScepRefused('not_current')
}

async function findUse(tx: Tx, challenge: Buffer): Promise<challenges.EarlierUse> {
  const use = await challenges.findUse(tx, challenge)
  if (!use) throw new ScepRefused((await challenges.isKnown(tx, challenge)) ? 'challenge_expired' : 'challenge')
  return use
}

/** What makes two requests one. */
export function markOf(request: SignedRequest): RequestMark {
  return { transactionId: request.transactionId, csrSha256: hash('sha256', request.csr.der, 'buffer') }
}

/**
 * The certificate that this very request got before. Throws ScepRefused: `otherwise` for another request and after ten
 * minutes, 'revoked' when it lives no more.
 */
export async function repeat(
  tx: Tx, earlier: challenges.EarlierUse, mark: RequestMark, otherwise: 'challenge_used' | 'renewal_used',
): Promise<Certificate> {
  const same = earlier.transactionId === mark.transactionId && earlier.csrSha256.equals(mark.csrSha256)
  if (!same || !earlier.recent) throw new ScepRefused(otherwise)
  const der = await store.findLiving(tx, earlier.certificateSha256)
  if (!der) throw new ScepRefused('revoked')
  return readCertificate(der)
}
