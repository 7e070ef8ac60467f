import type { Tx } from '../../base/db.ts'
import type { EnrollmentId } from '../../base/ids.ts'
import type { Work } from '../../base/work.ts'
import { IdentityRefused } from './check-identity.ts'
import * as store from './store.ts'
import type { CertificateRecord } from './store.ts'

/** The record of a certificate that our CA issued, by the SHA-256 of its DER. */
export function findCertificate(tx: Tx, sha256: Buffer): Promise<CertificateRecord | undefined> {
  return store.find(tx, sha256)
}

/**
 * Ties a certificate to an enrollment, once and for ever. Throws IdentityRefused('already_bound') when it is tied,
 * revoked or unknown.
 */
export async function bindCertificate(work: Work, sha256: Buffer, enrollmentId: EnrollmentId): Promise<void> {
  if (!(await store.bind(work.tx, sha256, enrollmentId))) throw new IdentityRefused('already_bound')
}

/** Ends a certificate at once; nothing happens when it has ended already. */
export async function revokeCertificate(work: Work, sha256: Buffer, reason: string): Promise<void> {
  await report(work, await store.revoke(work.tx, sha256, work.now, reason), reason)
}

/** Ends every certificate of an enrollment, but not the one that replaces them. */
export async function revokeAllOf(
  work: Work, enrollmentId: EnrollmentId, exceptSha256: Buffer | undefined, reason: string,
): Promise<void> {
  await report(work, await store.revokeAll(work.tx, enrollmentId, exceptSha256, work.now, reason), reason)
}

async function report(work: Work, revoked: { serialNumber: string }[], reason: string): Promise<void> {
  for (const { serialNumber } of revoked) {
    await work.emit({ type: 'certificate.revoked', serial_number: serialNumber, reason })
  }
}
