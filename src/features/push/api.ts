import { z } from 'zod'
import { change, principalOf, type ApiApp } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import type { PushCertificateId } from '../../base/ids.ts'
import { pageOf } from '../../base/paging.ts'
import { Problem } from '../../base/problem.ts'
import { storeCertificate } from './upload.ts'
import { readFiles, readUpload } from './upload-body.ts'
import { retireCertificate } from './retire.ts'
import { CERTIFICATE_STATES, findShown, listShown } from './shown.ts'

const shape = z.object({
  id: z.string(),
  topic: z.string(),
  not_before: z.string(),
  not_after: z.string(),
  days_left: z.int(),
  state: z.enum(CERTIFICATE_STATES).describe('expires_soon: less than 30 days are left. stopped: Apple refuses it (stopped_reason)'),
  serial_number: z.string(),
  sha256: z.string(),
  apple_account_memo: z.string().nullable(),
  device_count: z.int().describe('Enrolled devices that listen on this topic'),
  default_for_new: z.boolean().describe('New enrollments get this topic'),
  simulated: z.boolean(),
  stopped_reason: z.string().nullable().describe("Apple's reason for refusing it; nothing is sent with it until one is uploaded"),
  uploaded_at: z.string(),
}).meta({ id: 'PushCertificate' })

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
      description: 'The PEM certificate and key as they are, in any order; or JSON: `certificate` and `key` (PEM) or `p12` (base64), `passphrase`, '
        + '`apple_account_memo`, `keep_both`. The topic is read from the certificate. '
        + 'The same topic again renews it: everything else stays as it was, and a stop ends. Another topic is refused while devices depend on theirs '
        + '(`push_topic_mismatch`), unless `keep_both` is true. Refused too: one that is not valid now, or ends before the one it would replace.',
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

  app.delete('/push-certificates/:id', {
    config: { scope: 'certificates:write' },
    schema: {
      tags: ['Push certificates'],
      summary: 'Delete a push certificate and its key, for good',
      description: 'Refused (`push_certificate_in_use`) while devices depend on its topic or new enrollments get it.',
      params: z.object({ id: z.string().max(64) }),
      response: { 204: z.null().describe('Deleted') },
    },
  }, async (request, reply) => {
    await deps.work({ kind: 'key', id: principalOf(request).id }, (work) => retireCertificate(work, request.params.id as PushCertificateId))
    return reply.code(204).send(null)
  })
}
