import type { Answers, Talk } from './crew-talk.ts'
import type { DemoPlan } from './demo-plan.ts'
import type { Fleet } from './demo-shown.ts'
import type { Behaviour } from './simulator/index.ts'

interface Addition {
  plan: DemoPlan
  behaviour: Behaviour
  key: string
}

interface Change {
  serialNumber: string
  behaviour: Behaviour
}

/** The simulated devices of a server with several workers, which live in the process that looks after them. */
export function farFleet({ ask }: Pick<Talk, 'ask'>): Fleet {
  return {
    list: () => ask('fleet.list'),
    add: (plan, behaviour, key) => ask('fleet.add', { plan, behaviour, key } satisfies Addition),
    behave: (serialNumber, behaviour) => ask('fleet.behave', { serialNumber, behaviour } satisfies Change),
    remove: (serialNumber) => ask('fleet.remove', { serialNumber }),
  }
}

/** The other end: what `farFleet` asks. */
export function fleetAnswers(fleet: Fleet): Answers {
  return {
    'fleet.list': () => fleet.list(),
    'fleet.add': ({ plan, behaviour, key }: Addition) => fleet.add(plan, behaviour, key),
    'fleet.behave': ({ serialNumber, behaviour }: Change) => fleet.behave(serialNumber, behaviour),
    'fleet.remove': ({ serialNumber }: { serialNumber?: string }) => fleet.remove(serialNumber),
  }
}
