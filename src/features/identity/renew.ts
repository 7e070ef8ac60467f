import type { Certificate } from '../../apple/wire/x509.ts'
import type { Deps } from '../../base/deps.ts'
import type { Tx } from '../../base/db.ts'
import type { EnrollmentId } from '../../base/ids.ts'
import type { Work } from '../../base/work.ts'
import type { Authorities } from './authorities.ts'
import * as challenges from './challenge-store.ts'
import { checkIdentity } from './check-identity.ts'
import { markOf, repeat, type SignedRequest } from './enroll.ts'
import { issue, type Grant, type Issuer } from './issue.ts'
import { ScepRefused } from './scep-refused.ts'
import * as store from './store.ts'

/** What this room asks the enrollments room, handed in by the root. */
export interface ScepHooks {
  /**
   * Whether the certificate is the one that speaks for the enrollment at this moment. May lock the enrollment's row.
   */
  isCurrent(tx: Tx, enrollmentId: EnrollmentId, sha256: Buffer): Promise<boolean>
  /** Whether the enrollment has not ended, been blocked or replaced. May lock its row. */
  stands(tx: Tx, enrollmentId: EnrollmentId): Promise<boolean>
}

// A certificate that lives for a year needs one renewal; the rest are lost answers. Nobody fills our tables with them.
const MAX_RENEWALS = 10

/**
 * A new certificate of our CA for the same enrollment (RenewalReq), asked for with the one that speaks for it now, which an extra CA
 * may have issued. The old one stays valid until the device comes with the new one. Throws ScepRefused or IdentityRefused.
 */
export async function renew(
  deps: Deps, authorities: Authorities, issuer: Issuer, request: SignedRequest, hooks: ScepHooks,
): Promise<Certificate> {
  return deps.work({ kind: 'system' }, async (work) => {
    checkIdentity(authorities, request.signer, work.now)
    const grant = await lockCurrent(work.tx, request.signer.sha256, hooks)
    return renewOnce(work, issuer, request, grant)
  })
}

/** The enrollment first, then the certificate: everybody locks in this order. */
async function lockCurrent(tx: Tx, sha256: Buffer, hooks: ScepHooks): Promise<Grant> {
  const record = await store.find(tx, sha256)
  if (!record?.enrollmentId) throw new ScepRefused('not_bound')
  if (!(await hooks.isCurrent(tx, record.enrollmentId, sha256))) throw new ScepRefused('not_current')
  if (!(await store.lockLiving(tx, sha256))) throw new ScepRefused('revoked')
  return { attemptId: record.attemptId, deviceKey: record.deviceKey, enrollmentId: record.enrollmentId }
}

async function renewOnce(work: Work, issuer: Issuer, request: SignedRequest, grant: Grant): Promise<Certificate> {
  const signer = request.signer.sha256
  const mark = markOf(request)
  const earlier = await challenges.findRenewal(work.tx, signer, mark.transactionId)
  if (earlier) return repeat(work.tx, earlier, mark, 'renewal_used')
  if ((await challenges.countRenewals(work.tx, signer)) >= MAX_RENEWALS) throw new ScepRefused('renewals')
  const certificate = await issue(work, issuer, request.csr.spki, grant)
  await challenges.insertRenewal(work.tx, signer, mark, certificate.sha256)
  return certificate
}
