import { nameParts, type Certificate } from '../../apple/wire/x509.ts'
import type { Work } from '../../base/work.ts'
import * as store from './store.ts'

/**
 * Records a certificate that an extra CA issued, when it is not known yet, so that it can be bound like one of ours: to one
 * enrollment, for ever. The caller decides whether it may, and has checked it with checkIdentity.
 */
export async function recordExtraCertificate(work: Work, certificate: Certificate): Promise<void> {
  const { sha256, serialNumber, der, notBefore, notAfter, subject } = certificate
  // Another CA's serial numbers may meet ours, or each other: with the fingerprint they are unique whatever it does.
  const unique = `${serialNumber}:${sha256.toString('hex')}`
  await store.insertExtra(work.tx, { sha256, serialNumber: unique, subject: nameInWords(subject), der, notBefore, notAfter }, work.now)
}

/** A Name as one line of text for people, without what a terminal or a database would stumble over. */
export function nameInWords(name: Buffer): string {
  return nameParts(name).map(([type, value]) => `${type}=${value.replace(/\p{Cc}/gu, '\ufffd')}`).join(', ')
}
