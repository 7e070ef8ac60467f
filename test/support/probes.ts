import { z } from 'zod'
import { principalOf, type ApiApp } from '../../src/base/api.ts'
import { Problem } from '../../src/base/problem.ts'

const described = {
  tags: ['Test'], summary: 'A probe', response: { 200: z.object({ saw: z.unknown(), by: z.string() }) },
}
const read = { config: { scope: 'devices:read' }, schema: described } as const
const config = { scope: 'devices:write' } as const
const body = z.object({
  name: z.string().max(5), 'a/b~c': z.int().optional(), inner: z.strictObject({ on: z.boolean() }).optional(),
})
const querystring = z.object({ limit: z.coerce.number().int().max(9).default(3) })

/** Routes of every kind, to look at the door and not at what is behind it. */
export function probes(api: ApiApp): void {
  api.post('/probe', { config, schema: { ...described, body } }, async (request) => (
    { saw: request.body, by: principalOf(request).id }
  ))
  api.post('/probe/optional', { config, schema: { ...described, body: body.partial() } }, async (request) => (
    { saw: request.body, by: '' }
  ))
  api.post('/probe/empty', { config, schema: described }, async () => ({ saw: null, by: '' }))
  api.put('/probe/:id/raw', {
    config: { ...config, rawBody: true }, bodyLimit: 2 * 1024 * 1024, schema: described,
  }, async (request) => (
    { saw: Buffer.isBuffer(request.body) ? request.body.toString('latin1').slice(0, 40) : 'no buffer', by: '' }
  ))
  api.get('/probe/list', { ...read, schema: { ...described, querystring } }, async (request) => (
    { saw: request.query.limit, by: '' }
  ))
  api.get('/probe/bug', read, async () => {
    throw new Error('the innermost detail')
  })
  api.get('/probe/shape', read, async () => ({ saw: 1, by: JSON.parse('7') as string }))
  api.get('/probe/problem', read, async () => {
    const errors = [{ pointer: '/certificate', code: 'topic', detail: 'differs' }]
    throw new Problem('push_topic_mismatch', 'Two topics.', { errors, extra: { affected_devices: 58 } })
  })
}
