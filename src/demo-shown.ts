import { z } from 'zod'
import type { Deps } from './base/deps.ts'
import { writeBehaviour } from './demo-behaviour.ts'
import type { DemoDevice } from './demo-device.ts'
import type { DemoFleet } from './demo-fleet.ts'
import type { DemoPlan } from './demo-plan.ts'
import { createLink, openLinkToken } from './features/enrollment-profiles/index.ts'
import { BEHAVIOUR_FORMS, type Behaviour } from './simulator/index.ts'

/** A simulated device as the API shows it. */
export const shownDevice = z.object({
  serial_number: z.string(),
  model: z.string(),
  model_name: z.string(),
  os_version: z.string(),
  supervised: z.boolean(),
  behaviour: z.string().describe(`One of ${BEHAVIOUR_FORMS.join(', ')}`),
  state: z.enum(['enrolling', 'enrolled', 'failed']),
  reason: z.string().nullable(),
}).meta({ id: 'SimulatedDevice' })

export type ShownDevice = z.output<typeof shownDevice>

/** The simulated devices as the API meets them, wherever they live: only what fits through a line between processes. */
export interface Fleet {
  list(): Promise<ShownDevice[]>
  /** `key` is the API key that asks; the devices that are added. */
  add(plan: DemoPlan, behaviour: Behaviour, key: string): Promise<ShownDevice[]>
  /** Throws `not_found`. */
  behave(serialNumber: string, behaviour: Behaviour): Promise<ShownDevice>
  /** Checks one out, or all; those that are left. Throws `not_found`. */
  remove(serialNumber?: string): Promise<ShownDevice[]>
}

/** The fleet that lives in this process. */
export function nearFleet(deps: Deps, fleet: DemoFleet): Fleet {
  const list = async () => fleet.list().map(shown)
  return {
    list,
    add: async (plan, behaviour, key) => (await fleet.add(plan, behaviour, (uses) => linkFor(deps, key, uses))).map(shown),
    behave: async (serialNumber, behaviour) => shown(await fleet.behave(serialNumber, behaviour)),
    async remove(serialNumber) {
      await (serialNumber === undefined ? fleet.removeAll() : fleet.remove(serialNumber))
      return list()
    },
  }
}

/** A link of an hour, for just these devices. */
async function linkFor(deps: Deps, key: string, uses: number): Promise<string> {
  return deps.work({ kind: 'key', id: key }, async (work) => {
    const link = await createLink(work, deps, { name: 'Simulator', maxUses: uses, expiresAt: new Date(work.now.getTime() + 3_600_000) })
    return openLinkToken(deps.vault, link)
  })
}

function shown({ serialNumber, model, supervised, behaviour: wanted, now }: DemoDevice): ShownDevice {
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
