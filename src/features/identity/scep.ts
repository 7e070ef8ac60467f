import { WireError } from '../../apple/wire/error.ts'
import {
  caCapabilities, certsOnly, failureRep, openPkiMessage, readPkiMessage, successRep, type PkiMessage,
} from '../../apple/wire/scep.ts'
import type { Certificate } from '../../apple/wire/x509.ts'
import type { Deps } from '../../base/deps.ts'
import { Problem } from '../../base/problem.ts'
import { guessing, type GuessLimit } from '../../base/throttle.ts'
import type { Authorities } from './authorities.ts'
import { IdentityRefused } from './check-identity.ts'
import { enroll, type SignedRequest } from './enroll.ts'
import type { Issuer } from './issue.ts'
import { renew, type ScepHooks } from './renew.ts'
import { ScepRefused } from './scep-refused.ts'

export type { ScepHooks } from './renew.ts'

/**
 * One SCEP request: `operation` and, for PKIOperation, the DER of its message; `remoteAddress` for the limit on
 * failures.
 */
export interface ScepRequest {
  operation: string
  message?: Buffer | undefined
  remoteAddress: string
}

export interface ScepAnswer {
  contentType: string
  body: Buffer
}

const MAX_MESSAGE = 64 * 1024
const LIMIT: GuessLimit = { purpose: 'scep', failures: 60, windowSeconds: 600 }

/**
 * Answers one SCEP request (RFC 8894) with HTTP 200, also when it refuses a certificate: then with a CertRep FAILURE.
 * Throws WireError for what is no SCEP message (400), Problem `too_large` above 64 KiB, and Problem `rate_limited` for
 * an address with sixty failures in ten minutes, before any RSA work is done for it. RSA is synchronous here: one at a
 * time.
 */
export async function answerScep(
  deps: Deps, authorities: Authorities, request: ScepRequest, hooks: ScepHooks,
): Promise<ScepAnswer> {
  if (request.operation === 'GetCACaps') return { contentType: 'text/plain', body: Buffer.from(caCapabilities()) }
  if (request.operation === 'GetCACert') {
    return { contentType: 'application/x-x509-ca-ra-cert', body: caAndRa(authorities) }
  }
  if (request.operation !== 'PKIOperation') throw new WireError('operation', 'not a SCEP operation we know')
  return { contentType: 'application/x-pki-message', body: await answerMessage(deps, authorities, request, hooks) }
}

// Apple takes the one that may sign and encrypt as RA, whatever the order; other clients take the first.
function caAndRa(authorities: Authorities): Buffer {
  return certsOnly([authorities.scepRa.certificate, authorities.deviceCa.certificate])
}

async function answerMessage(
  deps: Deps, authorities: Authorities, request: ScepRequest, hooks: ScepHooks,
): Promise<Buffer> {
  const body = request.message ?? Buffer.alloc(0)
  if (body.length > MAX_MESSAGE) throw new Problem('too_large')
  const refused: { message?: PkiMessage } = {}
  try {
    return await guessing(deps.db.read, LIMIT, request.remoteAddress, async () => {
      const message = readPkiMessage(body)
      refused.message = message
      return await grant(deps, authorities, message, hooks)
    }, isFailure)
  } catch (error) {
    if (!(error instanceof ScepRefused) || !refused.message) throw error
    deps.log.info({ door: 'device', route: '/scep', reason: error.reason }, 'scep refused')
    return failureRep(refused.message, error.failInfo, authorities.scepRa)
  }
}

async function grant(deps: Deps, authorities: Authorities, message: PkiMessage, hooks: ScepHooks): Promise<Buffer> {
  const verb = verbs[message.messageType]
  if (!verb) throw new ScepRefused('message_type')
  const { csr, cipher } = open(authorities, message)
  const issuer = { deviceCa: authorities.deviceCa, organization: deps.config.organization }
  const { transactionId, signer } = message
  const issued = await verb({ deps, authorities, hooks, issuer }, { transactionId, signer, csr })
  return successRep(message, issued, { ra: authorities.scepRa, chain: [authorities.deviceCa.certificate], cipher })
}

interface Parts {
  deps: Deps
  authorities: Authorities
  hooks: ScepHooks
  issuer: Issuer
}

// RFC 8894 3.2.1.2: PKCSReq and RenewalReq. CertPoll, GetCert, GetCRL and the UpdateReq of old drafts get nothing here.
const verbs: Record<string, (parts: Parts, request: SignedRequest) => Promise<Certificate>> = {
  '19': ({ deps, issuer, hooks }, request) => enroll(deps, issuer, request, hooks),
  '17': ({ deps, authorities, issuer, hooks }, request) => (
    renew(deps, authorities, issuer, request, hooks).catch(refuseIdentity)
  ),
}

/**
 * Why an envelope would not open is the same `badRequest` for all causes, so that nobody can use us to decrypt.
 * `badAlg` is answered for keys only: who learns it has made the request that was inside.
 */
function open(authorities: Authorities, message: PkiMessage) {
  try {
    const opened = openPkiMessage(message, authorities.scepRa)
    // The answer is encrypted to the signer with RSA; an elliptic-curve key could not read it.
    if (message.signer.publicKey.asymmetricKeyType !== 'rsa') throw new WireError('weak_key', 'SCEP needs RSA')
    return opened
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    throw new ScepRefused(error.reason, error.reason === 'weak_key' ? 0 : 2)
  }
}

function refuseIdentity(error: unknown): never {
  throw error instanceof IdentityRefused ? new ScepRefused(error.reason) : error
}

function isFailure(error: unknown): boolean {
  return error instanceof ScepRefused || error instanceof WireError
}
