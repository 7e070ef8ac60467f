import type { WantedDevice } from './demo-plan.ts'
import type { Behaviour, SimulatedDevice } from './simulator/index.ts'

/** One simulated device of this server. `behaviour` is what was asked for last. */
export interface DemoDevice extends WantedDevice {
  behaviour: Behaviour
  now: { state: 'enrolling' } | { state: 'failed'; reason: string } | { state: 'enrolled'; device: SimulatedDevice }
}

/** Checks a device out, so that the server knows, and ends its simulation. */
export async function leave(device: SimulatedDevice): Promise<void> {
  // Also one that is offline says goodbye, or the server would wait for it for ever.
  device.behaviour = 'answers'
  try {
    await device.checkOut()
  } finally {
    await device.stop()
  }
}

/**
 * Changes the behaviour. Unlocked by that, the device asks by itself for what it put off last; nobody waits for that
 * conversation, and `trouble` hears what ended it.
 */
export async function change(
  device: SimulatedDevice, behaviour: Behaviour, trouble: (error: unknown) => void,
): Promise<void> {
  const unlocked = isPuttingOff(device.behaviour) && !isPuttingOff(behaviour) && behaviour !== 'offline'
  await device.behave(behaviour)
  if (unlocked) device.unlock().catch(trouble)
}

function isPuttingOff(behaviour: Behaviour): boolean {
  return typeof behaviour === 'object' && 'notNow' in behaviour
}

/** What went wrong, for people. A connection that failed at every address of a name has a code, but no message. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message !== '' ? error.message : 'code' in error ? String(error.code) : error.name
}
