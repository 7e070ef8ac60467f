import { z } from 'zod'
import { principalOf, type ApiApp } from './base/api.ts'
import { Problem } from './base/problem.ts'
import { shownDevice, type Fleet } from './demo-shown.ts'
import { BEHAVIOUR_FORMS, parseBehaviour, type Behaviour } from './simulator/index.ts'

const list = z.object({ data: z.array(shownDevice) })

const behaviour = z.string().max(40).describe(`One of ${BEHAVIOUR_FORMS.join(', ')}`)
const plan = z.strictObject({
  count: z.int().min(1).max(50).optional(),
  sample: z.literal(true).optional().describe('The six phones of the sample fleet, two of them supervised'),
  supervised: z.boolean().optional().describe('Left out: the two kiosks of the sample fleet, and nobody else'),
  behaviour: behaviour.optional(),
}).refine((body) => (body.count === undefined) !== (body.sample === undefined), 'give either count or sample')
const params = z.object({ serial: z.string().min(1).max(32) })
const tags = ['Simulator']

/** Simulated devices inside the server, while its simulator is on. */
export function registerSimulator(app: ApiApp, fleet: Fleet | undefined): void {
  const on = (): Fleet => {
    if (!fleet) throw new Problem('simulator_off')
    return fleet
  }
  app.get('/simulator/devices', {
    config: { scope: 'simulator:read' },
    schema: { tags, summary: 'List the simulated devices of this server', response: { 200: list } },
  }, async () => ({ data: await on().list() }))

  app.post('/simulator/devices', {
    config: { scope: 'simulator:write' },
    schema: { tags, summary: 'Add simulated devices; they enroll in the background', body: plan, response: { 202: list } },
  }, async (request, reply) => {
    const { count = 0, sample, supervised } = request.body
    const wanted = sample ? { sample, supervised } : { count, supervised }
    const wish = read(request.body.behaviour ?? 'answers')
    return reply.code(202).send({ data: await on().add(wanted, wish, principalOf(request).id) })
  })

  app.patch('/simulator/devices/:serial', {
    config: { scope: 'simulator:write' },
    schema: { tags, summary: 'Change how a simulated device behaves', params, body: z.strictObject({ behaviour }), response: { 200: shownDevice } },
  }, async (request) => on().behave(request.params.serial, read(request.body.behaviour)))

  app.delete('/simulator/devices', {
    config: { scope: 'simulator:write' },
    schema: { tags, summary: 'Check all simulated devices out and forget them', response: { 200: list } },
  }, async () => ({ data: await on().remove() }))

  app.delete('/simulator/devices/:serial', {
    config: { scope: 'simulator:write' },
    schema: { tags, summary: 'Check one simulated device out and forget it', params, response: { 200: list } },
  }, async (request) => ({ data: await on().remove(request.params.serial) }))
}

function read(text: string): Behaviour {
  const parsed = parseBehaviour(text)
  if (parsed) return parsed
  throw new Problem('validation_failed', undefined, { errors: [{ pointer: '/behaviour', code: 'invalid_value', detail: `must be one of ${BEHAVIOUR_FORMS.join(', ')}` }] })
}
