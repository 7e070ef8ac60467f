import { publicKeyProblem } from '../../apple/wire/public-key.ts'
import { isSignedBy, type Certificate } from '../../apple/wire/x509.ts'
import type { Authorities } from './authorities.ts'

/** Why a certificate does not speak for a device. */
export type IdentityReason = 'untrusted_issuer' | 'wrong_usage' | 'expired' | 'not_yet_valid' | 'already_bound' | 'weak_alg'

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
const sound = new WeakMap<Authorities, Map<string, Certificate>>()

/** A certificate that may speak for a device, if the database knows whose it is. */
export interface Identity {
  certificate: Certificate
  /** Issued by one of BRAMLEY_EXTRA_DEVICE_CAS, not by us: nobody here has seen it before its first Authenticate. */
  isExtra: boolean
}

/**
 * Whether a certificate may speak for a device at all: signed by our CA or an extra one (its key, whatever the names
 * say), made for clients, no CA, of a key that cannot be broken, and valid at `now` without grace. Throws IdentityRefused. Says
 * nothing about revocation or whose it is: see findCertificate.
 */
export function checkIdentity(authorities: Authorities, certificate: Certificate, now: Date): Identity {
  const known = soundOnes(authorities)
  const name = certificate.sha256.toString('base64')
  const issuer = known.get(name) ?? findIssuer(authorities, certificate)
  remember(known, name, issuer)
  checkTime(certificate, now)
  const isExtra = issuer !== authorities.deviceCa.certificate
  if (isExtra) checkTime(issuer, now)
  return { certificate, isExtra }
}

function findIssuer(authorities: Authorities, certificate: Certificate): Certificate {
  const trusted = [authorities.deviceCa.certificate, ...authorities.extraDeviceCas]
  const issuer = trusted.find((ca) => isSignedBy(certificate, ca))
  if (!issuer) throw new IdentityRefused('untrusted_issuer')
  if (certificate.isCa || !certificate.extendedKeyUsage.includes(CLIENT_AUTH)) throw new IdentityRefused('wrong_usage')
  // A signature tells us the same; behind TLS or a proxy nobody else looks at the key.
  if (publicKeyProblem(certificate.publicKey)) throw new IdentityRefused('weak_alg')
  return issuer
}

function checkTime({ notBefore, notAfter }: Certificate, now: Date): void {
  if (now < notBefore) throw new IdentityRefused('not_yet_valid')
  if (now > notAfter) throw new IdentityRefused('expired')
}

function soundOnes(authorities: Authorities): Map<string, Certificate> {
  const known = sound.get(authorities) ?? new Map()
  sound.set(authorities, known)
  return known
}

/** A Map keeps the order of insertion: the first is the one not seen for longest. */
function remember(known: Map<string, Certificate>, name: string, issuer: Certificate): void {
  known.delete(name)
  known.set(name, issuer)
  const [oldest] = known.keys()
  if (known.size > REMEMBERED && oldest !== undefined) known.delete(oldest)
}
