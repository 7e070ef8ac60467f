import { z } from 'zod'
import { WireError } from '../../apple/wire/error.ts'
import { readPushCertificate, type PushCertificateInput, type ReadPushCertificate } from '../../apple/wire/push-certificate.ts'
import { change, type ApiApp } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import { pageOf } from '../../base/paging.ts'
import { readJsonBody } from '../../base/json-body.ts'
import { Problem } from '../../base/problem.ts'
import { storeCertificate } from './upload.ts'
import { findShown, listShown } from './shown.ts'

const shape = z.object({
  id: z.string(),
  topic: z.string(),
  not_before: z.string(),
  not_after: z.string(),
  days_left: z.int(),
  serial_number: z.string(),
  sha256: z.string(),
  apple_account_memo: z.string().nullable(),
  device_count: z.int(),
  default_for_new: z.boolean(),
  simulated: z.boolean(),
  stopped_reason: z.string().nullable().describe("Apple's reason for refusing it; nothing is sent with it until one is uploaded"),
  uploaded_at: z.string(),
}).meta({ id: 'PushCertificate' })

const upload = z.strictObject({
  certificate: z.string().max(65_536).optional().describe('PEM; may hold the key and the chain too'),
  key: z.string().max(65_536).optional().describe('PEM of the private key'),
  passphrase: z.string().max(1_024).optional().describe('Of the PEM key or the P12'),
  p12: z.base64().max(131_072).optional().describe('PKCS#12 in base64'),
  apple_account_memo: z.string().max(200).optional(),
  keep_both: z.boolean().optional().describe('Accept another topic: devices stay with theirs, new enrollments get this one'),
}).refine((body) => (body.p12 === undefined) !== (body.certificate === undefined), 'give either certificate (and key) or p12')

/** Push certificates: list, read, upload as JSON (PEM pair or P12) or as raw PEM with `curl --data-binary @file`. */
export function registerPushCertificates(app: ApiApp, deps: Deps): void {
  app.get('/push-certificates', {
    config: { scope: 'certificates:read' },
    schema: { tags: ['Push certificates'], summary: 'List push certificates', response: { 200: pageOf(shape) } },
  }, async () => ({ data: await listShown(deps.db.read, deps.clock()), has_more: false, next_cursor: null }))

  app.get('/push-certificates/:id', {
    config: { scope: 'certificates:read' },
    schema: { tags: ['Push certificates'], summary: 'Read a push certificate', params: z.object({ id: z.string().max(64) }), response: { 200: shape } },
  }, async (request) => {
    const found = await findShown(deps.db.read, request.params.id, deps.clock())
    if (!found) throw new Problem('not_found', 'There is no such push certificate')
    return found
  })

  app.post('/push-certificates', {
    config: { scope: 'certificates:write', rawBody: true },
    schema: {
      tags: ['Push certificates'],
      summary: 'Upload a push certificate with its key',
      description: 'JSON as described, or the PEM certificate and key as they are, in any order. The topic is read from the certificate.',
      response: { 201: shape },
    },
  }, async (request, reply) => {
    const body = readUpload(request.body)
    const read = await readFiles(body)
    return change(deps, request, reply, 201, async (work) => {
      const id = await storeCertificate(deps, work, read, { memo: body.apple_account_memo, keepBoth: body.keep_both })
      const stored = await findShown(work.tx, id, work.now)
      if (!stored) throw new Error('the push certificate was not written')
      return stored
    })
  })
}

type Upload = z.output<typeof upload>

/** A body that begins with `{` is JSON; everything else is PEM, whatever Content-Type curl chose for it. */
function readUpload(body: unknown): Upload {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0)
  const text = bytes.toString('utf8')
  if (!text.trimStart().startsWith('{')) return { certificate: text }
  const parsed = upload.safeParse(readJsonBody(bytes))
  if (parsed.success) return parsed.data
  const errors = parsed.error.issues.map((issue) => ({ pointer: `/${issue.path.join('/')}`, code: issue.code, detail: issue.message }))
  throw new Problem('validation_failed', undefined, { errors })
}

async function readFiles(body: Upload): Promise<ReadPushCertificate> {
  try {
    return await readPushCertificate(filesOf(body))
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    const pointer = body.p12 === undefined ? '/certificate' : '/p12'
    throw new Problem('push_certificate_refused', undefined, { cause: error, errors: [{ pointer, code: error.reason, detail: REASONS[error.reason] ?? error.message }] })
  }
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
}
