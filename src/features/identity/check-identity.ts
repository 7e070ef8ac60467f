import { isSignedBy, type Certificate } from '../../apple/wire/x509.ts'
import type { Authorities, Authority } from './authorities.ts'

/** Why a certificate does not speak for a device. */
export type IdentityReason = 'untrusted_issuer' | 'wrong_usage' | 'expired' | 'not_yet_valid' | 'already_bound'

/** This certificate is no identity here; `reason` is for logs, never for the device. */
export class IdentityRefused extends Error {
  override readonly name = 'IdentityRefused'
  readonly reason: IdentityReason

  constructor(reason: IdentityReason) {
    super(reason)
    this.reason = reason
  }
}

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const REMEMBERED = 20_000

// What can never change about a certificate: its signature and its usage. Time and revocation are asked on each
// message.
const sound = new WeakMap<Authority, Set<string>>()

/**
 * Whether a certificate may speak for a device at all: signed by our CA (its key, whatever the names say), made for
 * clients, no CA, and valid at `now` without grace. Throws IdentityRefused. Says nothing about revocation or whose it
 * is: see findCertificate.
 */
export function checkIdentity(authorities: Authorities, certificate: Certificate, now: Date): void {
  const known = soundOnes(authorities.deviceCa)
  const name = certificate.sha256.toString('base64')
  if (!known.has(name)) checkMake(authorities.deviceCa, certificate)
  remember(known, name)
  if (now < certificate.notBefore) throw new IdentityRefused('not_yet_valid')
  if (now > certificate.notAfter) throw new IdentityRefused('expired')
}

function checkMake(ca: Authority, certificate: Certificate): void {
  if (!isSignedBy(certificate, ca.certificate)) throw new IdentityRefused('untrusted_issuer')
  if (certificate.isCa || !certificate.extendedKeyUsage.includes(CLIENT_AUTH)) throw new IdentityRefused('wrong_usage')
}

function soundOnes(ca: Authority): Set<string> {
  const known = sound.get(ca) ?? new Set()
  sound.set(ca, known)
  return known
}

/** A Set keeps the order of insertion: the first is the one not seen for longest. */
function remember(known: Set<string>, name: string): void {
  known.delete(name)
  known.add(name)
  const [oldest] = known
  if (known.size > REMEMBERED && oldest !== undefined) known.delete(oldest)
}
