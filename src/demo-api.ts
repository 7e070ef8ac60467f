import { z } from 'zod'
import { principalOf, type ApiApp } from './base/api.ts'
import type { Deps } from './base/deps.ts'
import { Problem } from './base/problem.ts'
import { writeBehaviour } from './demo-behaviour.ts'
import type { DemoDevice } from './demo-device.ts'
import type { DemoFleet } from './demo-fleet.ts'
import { createLink, openLinkToken } from './features/enrollment-profiles/index.ts'
import { BEHAVIOUR_FORMS, parseBehaviour, type Behaviour } from './simulator/index.ts'

const shape = z.object({
  serial_number: z.string(),
  model: z.string(),
  model_name: z.string(),
  os_version: z.string(),
  supervised: z.boolean(),
  behaviour: z.string().describe(`One of ${BEHAVIOUR_FORMS.join(', ')}`),
  state: z.enum(['enrolling', 'enrolled', 'failed']),
  reason: z.string().nullable(),
}).meta({ id: 'SimulatedDevice' })
const list = z.object({ data: z.array(shape) })

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
export function registerSimulator(app: ApiApp, deps: Deps, fleet: DemoFleet | undefined): void {
  const on = (): DemoFleet => {
    if (!fleet) throw new Problem('simulator_off')
    return fleet
  }
  app.get('/simulator/devices', {
    config: { scope: 'simulator:read' },
    schema: { tags, summary: 'List the simulated devices of this server', response: { 200: list } },
  }, async () => ({ data: on().list().map(shown) }))

  app.post('/simulator/devices', {
    config: { scope: 'simulator:write' },
    schema: { tags, summary: 'Add simulated devices; they enroll in the background', body: plan, response: { 202: list } },
  }, async (request, reply) => {
    const { count = 0, sample, supervised } = request.body
    const wanted = sample ? { sample, supervised } : { count, supervised }
    const wish = read(request.body.behaviour ?? 'answers')
    const added = await on().add(wanted, wish, (uses) => linkFor(deps, principalOf(request).id, uses))
    return reply.code(202).send({ data: added.map(shown) })
  })

  app.patch('/simulator/devices/:serial', {
    config: { scope: 'simulator:write' },
    schema: { tags, summary: 'Change how a simulated device behaves', params, body: z.strictObject({ behaviour }), response: { 200: shape } },
  }, async (request) => shown(await on().behave(request.params.serial, read(request.body.behaviour))))

  app.delete('/simulator/devices', {
    config: { scope: 'simulator:write' },
    schema: { tags, summary: 'Check all simulated devices out and forget them', response: { 200: list } },
  }, async () => {
    await on().removeAll()
    return { data: on().list().map(shown) }
  })

  app.delete('/simulator/devices/:serial', {
    config: { scope: 'simulator:write' },
    schema: { tags, summary: 'Check one simulated device out and forget it', params, response: { 200: list } },
  }, async (request) => {
    await on().remove(request.params.serial)
    return { data: on().list().map(shown) }
  })
}

/** A link of an hour, for just these devices. */
async function linkFor(deps: Deps, key: string, uses: number): Promise<string> {
  return deps.work({ kind: 'key', id: key }, async (work) => {
    const link = await createLink(work, deps, { name: 'Simulator', maxUses: uses, expiresAt: new Date(work.now.getTime() + 3_600_000) })
    return openLinkToken(deps.vault, link)
  })
}

function read(text: string): Behaviour {
  const parsed = parseBehaviour(text)
  if (parsed) return parsed
  throw new Problem('validation_failed', undefined, { errors: [{ pointer: '/behaviour', code: 'invalid_value', detail: `must be one of ${BEHAVIOUR_FORMS.join(', ')}` }] })
}

function shown({ serialNumber, model, supervised, behaviour: wanted, now }: DemoDevice): z.output<typeof shape> {
  const device = now.state === 'enrolled' ? now.device : undefined
  return {
    serial_number: serialNumber,
    model: model.productName,
    model_name: model.modelName,
    os_version: model.osVersion,
    supervised: device?.state.supervised ?? supervised,
    behaviour: writeBehaviour(device?.behaviour ?? wanted),
    state: now.state,
    reason: now.state === 'failed' ? now.reason : null,
  }
}
