import { WireError } from '../../apple/wire/error.ts'
import { decodePem } from '../../apple/wire/pem.ts'
import { readPushCertificate, type ReadPushCertificate } from '../../apple/wire/push-certificate.ts'
import type { Principal } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import { Problem } from '../../base/problem.ts'
import { daysLeft, findExpiry, storeCertificate } from '../../features/push/index.ts'

/** A status and what is said with it. */
export interface Said {
  status: number
  body: { not_after: string; topic: string; warnings?: string[] } | { error: string }
}

/**
 * `PUT /v1/pushcert`: PEM certificate and key, in any order. Ours is stricter in two things: a certificate that is not valid
 * now is refused, and one of another topic while devices depend on theirs (409).
 */
export async function putPushCertificate(deps: Deps, principal: Principal, body: Buffer): Promise<Said> {
  try {
    const read = await readPem(body.toString('latin1'))
    await deps.work({ kind: 'key', id: principal.id }, (work) => storeCertificate(deps, work, read, {}))
    const warnings = warningsOf(deps, read.certificate.notAfter)
    return { status: 200, body: { ...shown(read.topic, read.certificate.notAfter), ...(warnings && { warnings }) } }
  } catch (error) {
    if (error instanceof WireError) return { status: 400, body: { error: REASONS[error.reason] ?? error.message } }
    if (!(error instanceof Problem) || error.status >= 500) throw error
    const detail = error.detail ?? error.options.errors?.[0]?.detail ?? error.message
    return error.status === 409 ? { status: 409, body: { error: `${detail} ${ANOTHER_TOPIC}` } } : { status: 400, body: { error: detail } }
  }
}

/** `GET /v1/pushcert?topic=`: when the certificate of a topic ends. */
export async function getPushCertificate(deps: Deps, topic: string | undefined): Promise<Said> {
  if (!topic) return { status: 400, body: { error: 'missing required query parameter: topic' } }
  const notAfter = await findExpiry(deps.db.read, topic)
  if (!notAfter) return { status: 404, body: { error: 'no push certificate of this topic' } }
  return { status: 200, body: shown(topic, notAfter) }
}

const ANOTHER_TOPIC = 'Renew on the existing row at identity.apple.com, or send it to /api/v1/push-certificates with keep_both.'

/** Upstream has no such member; its clients do not look at what they do not know. */
function warningsOf(deps: Deps, notAfter: Date): string[] | undefined {
  const { days, soon } = daysLeft(notAfter, deps.clock())
  return soon ? [`the certificate expires in ${days} days`] : undefined
}

function shown(topic: string, notAfter: Date): Said['body'] {
  return { not_after: notAfter.toISOString().replace(/\.\d+Z$/, 'Z'), topic }
}

async function readPem(pem: string): Promise<ReadPushCertificate> {
  for (const { label, headers } of decodePem(pem)) {
    if (label !== 'CERTIFICATE' && !/(^| )PRIVATE KEY$/.test(label)) throw new WireError('pem_type', `unrecognized PEM type: "${label}"`)
    if (headers !== undefined || label.startsWith('ENCRYPTED')) throw new WireError('bad_password')
  }
  return readPushCertificate({ pem })
}

const REASONS: Record<string, string> = {
  not_pem: 'no PEM data found',
  no_certificate: 'no certificate found',
  no_key: 'no private key found',
  bad_password: 'private key PEM appears to be encrypted',
  key_mismatch: 'private key does not match the certificate',
  no_topic: 'no push topic (UID) in the certificate',
  wrong_topic_prefix: 'push topic does not begin with com.apple.mgmt',
  vendor_certificate: 'this is the vendor certificate, not the push certificate',
}
