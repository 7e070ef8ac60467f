import { z } from 'zod'
import { WireError } from '../../apple/wire/error.ts'
import { readPushCertificate, type PushCertificateInput, type ReadPushCertificate } from '../../apple/wire/push-certificate.ts'
import { readJsonBody } from '../../base/json-body.ts'
import { Problem } from '../../base/problem.ts'

const upload = z.strictObject({
  certificate: z.string().max(65_536).optional().describe('PEM; may hold the key and the chain too'),
  key: z.string().max(65_536).optional().describe('PEM of the private key'),
  passphrase: z.string().max(1_024).optional().describe('Of the PEM key or the P12'),
  p12: z.base64().max(131_072).optional().describe('PKCS#12 in base64'),
  apple_account_memo: z.string().max(200).optional(),
  keep_both: z.boolean().optional().describe('New enrollments get this topic; devices of another one stay with theirs, under the certificate that is held for it'),
}).refine((body) => (body.p12 === undefined) !== (body.certificate === undefined), 'give either certificate (and key) or p12')

type Upload = z.output<typeof upload>

/** A body that begins with `{` is JSON; everything else is PEM, whatever Content-Type curl chose for it. */
export function readUpload(body: unknown): Upload {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0)
  const text = bytes.toString('utf8')
  if (!text.trimStart().startsWith('{')) return { certificate: text }
  const parsed = upload.safeParse(readJsonBody(bytes))
  if (parsed.success) return parsed.data
  const errors = parsed.error.issues.map((issue) => ({ pointer: `/${issue.path.join('/')}`, code: issue.code, detail: issue.message }))
  throw new Problem('validation_failed', undefined, { errors })
}

/** The certificate and key in an upload. Throws `push_certificate_refused` with the reason and where it lies. */
export async function readFiles(body: Upload): Promise<ReadPushCertificate> {
  try {
    return await readPushCertificate(filesOf(body))
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    const pointer = pointerOf(body, error.reason)
    throw new Problem('push_certificate_refused', undefined, { cause: error, errors: [{ pointer, code: error.reason, detail: REASONS[error.reason] ?? error.message }] })
  }
}

const KEY_REASONS = new Set(['no_key', 'key_mismatch'])

function pointerOf(body: Upload, reason: string): string {
  if (reason === 'bad_password' && (body.p12 ?? body.key) !== undefined) return '/passphrase'
  if (body.p12 !== undefined) return '/p12'
  return body.key !== undefined && KEY_REASONS.has(reason) ? '/key' : '/certificate'
}

function filesOf({ certificate = '', key, passphrase, p12 }: Upload): PushCertificateInput {
  if (p12 !== undefined) return { p12: Buffer.from(p12, 'base64'), password: passphrase ?? '' }
  if (key === undefined && passphrase === undefined) return { pem: certificate }
  return { certificatePem: certificate, keyPem: key ?? certificate, ...(passphrase !== undefined && { keyPassphrase: passphrase }) }
}

/** The refusals in words that tell what to do. */
const REASONS: Record<string, string> = {
  not_pem: 'There is no PEM in it. Send the .pem file that Apple gave you together with the private key.',
  no_certificate: 'There is no certificate in it.',
  no_key: 'There is no private key in it. Send the key that belongs to the request you made.',
  key_mismatch: 'The key does not belong to the certificate.',
  no_topic: 'The certificate names no push topic (UID): it is not an MDM push certificate.',
  wrong_topic_prefix: 'The topic does not begin with com.apple.mgmt.: it is not an MDM push certificate.',
  vendor_certificate: 'This is the vendor certificate that signs requests, not the push certificate that Apple makes from them.',
  bad_password: 'The passphrase does not open it.',
  p12: 'This PKCS#12 file cannot be read.',
  asn1: 'The certificate is damaged or too large.',
}
