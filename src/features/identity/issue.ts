import { randomBytes } from 'node:crypto'
import { issueCertificate } from '../../apple/wire/x509-issue.ts'
import { distinguishedName, readCertificate, type Certificate } from '../../apple/wire/x509.ts'
import type { AttemptId, EnrollmentId } from '../../base/ids.ts'
import type { Work } from '../../base/work.ts'
import { subjectText, type Authority } from './authorities.ts'
import * as store from './store.ts'

/** Whom a certificate is for. */
export interface Grant {
  /** Null for a device that came from another server with an identity of its own. */
  attemptId: AttemptId | null
  deviceKey: string | null
  /** Known at once for a renewal only. */
  enrollmentId: EnrollmentId | null
}

/** The CA and the name it issues under. */
export interface Issuer {
  deviceCa: Authority
  organization: string
}

const HOUR = 3_600_000
const YEAR = 365 * 24 * HOUR

/**
 * Issues and records a device identity for a key. All but the key is ours: the subject names the attempt if there was one, nothing of
 * the request's names, extensions or usages is copied.
 */
export async function issue(work: Work, issuer: Issuer, spki: Buffer, grant: Grant): Promise<Certificate> {
  const organization = subjectText(issuer.organization)
  const name = grant.attemptId ?? 'adopted device'
  const certificate = readCertificate(issueCertificate({
    subject: distinguishedName([['O', organization], ['CN', name]]),
    spki,
    serialNumber: randomBytes(16),
    ...validity(work.now, issuer.deviceCa.certificate),
    issuer: issuer.deviceCa,
    profile: 'device',
  }))
  const { sha256, serialNumber, der, notBefore, notAfter } = certificate
  const purpose = grant.enrollmentId === null ? 'enrollment' : 'renewal'
  const subject = `O=${organization}, CN=${name}`
  await store.insert(work.tx, { ...grant, sha256, serialNumber, purpose, subject, der, notBefore, notAfter }, work.now)
  const renewed = grant.enrollmentId === null ? {} : { enrollment: grant.enrollmentId }
  await work.emit({ type: 'certificate.issued', attempt: grant.attemptId, serial_number: serialNumber, purpose, ...renewed })
  return certificate
}

/** Begins an hour back, because the clock of a phone may lag; ends after a year, but never after the CA. */
function validity(now: Date, ca: Certificate): { notBefore: Date; notAfter: Date } {
  const notAfter = Math.min(now.getTime() + YEAR, ca.notAfter.getTime())
  return { notBefore: new Date(now.getTime() - HOUR), notAfter: new Date(notAfter) }
}
