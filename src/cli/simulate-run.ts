import { setTimeout as delay } from 'node:timers/promises'
import { startFleet, systemTitle, type FleetEvent, type SimulatedDevice } from '../simulator/index.ts'
import type { SimulatePlan } from './simulate-plan.ts'

/** Where lines go: what happens to stdout, what somebody should know to stderr. */
export interface Voice {
  say: (line: string) => void
  warn: (line: string) => void
}

const DONE = 0
const PARTLY_FAILED = 6
const TIMED_OUT = 7
const INTERRUPTED = 130

/**
 * Enrolls the fleet and lets it live until the plan or an interruption ends it. Gives the exit code: 0, 6 when some
 * devices could not enroll, 7 when the commands did not come in time, 130 when a plan was interrupted. Rejects when
 * no device could enroll. `interruption` is asked for once all devices are there: until then Ctrl-C ends the
 * process as ever.
 */
export async function runSimulation(
  plan: SimulatePlan, voice: Voice, interruption: () => Promise<void>,
): Promise<number> {
  for (const warning of plan.warnings) voice.warn(`⚠ ${warning}`)
  const fleet = await startFleet({ ...plan.fleet, log: (event) => tell(event, voice) })
  // When none got in, the one reason is thrown; these stand beside those that did.
  for (const failure of fleet.failures) voice.warn(`✖ one device is not enrolled: ${messageOf(failure)}`)
  try {
    const code = await endOf(fleet, plan.end, interruption())
    return code === DONE && fleet.failures.length > 0 ? PARTLY_FAILED : code
  } finally {
    await fleet.stop()
  }
}

/** Waits for whichever end comes first. A run without an end of its own is meant to be interrupted. */
export async function endOf(
  { devices }: { devices: readonly Pick<SimulatedDevice, 'executed'>[] },
  end: SimulatePlan['end'],
  interrupted: Promise<void>,
): Promise<number> {
  const over = new AbortController()
  const after = (ms: number, code: number) => delay(ms, code, { signal: over.signal }).catch(() => code)
  const bounded = end.afterMs !== undefined || end.afterCommands !== undefined
  const ends: Promise<number>[] = [interrupted.then(() => (bounded ? INTERRUPTED : DONE))]
  if (end.afterMs !== undefined) ends.push(after(end.afterMs, DONE))
  if (end.timeoutMs !== undefined) ends.push(after(end.timeoutMs, TIMED_OUT))
  const commands = end.afterCommands
  if (commands !== undefined) {
    ends.push(Promise.all(devices.map((device) => device.executed(commands))).then(() => DONE))
  }
  return Promise.race(ends).finally(() => over.abort())
}

const STATUSES: Record<string, string> = {
  Acknowledged: 'acknowledged', Error: 'error', CommandFormatError: 'format error', NotNow: 'not now',
}

function tell(event: FleetEvent, { say, warn }: Voice): void {
  switch (event.kind) {
    case 'enrolled': return say(`✔ ${serialOf(event)} enrolled (${describe(event.device)})`)
    case 'command': return say(`→ ${channelOf(event)} ${event.requestType} ${STATUSES[event.status] ?? event.status}`)
    case 'failed': return undefined
    case 'trouble': return warn(`✖ ${serialOf(event)}: ${messageOf(event.error)}`)
  }
}

function serialOf({ device }: { device: SimulatedDevice }): string {
  return device.hardware.serialNumber
}

/** The serial number, and for the channel of a user also whose. */
function channelOf(event: Extract<FleetEvent, { kind: 'command' }>): string {
  return event.user === undefined ? serialOf(event) : `${serialOf(event)} (${event.user})`
}

function describe({ hardware: { model }, state, users }: SimulatedDevice): string {
  const shared = state.sharedIpad ? 'Shared ' : ''
  const people = users.length === 0 ? '' : `; ${users.map(({ user: { user } }) => user.shortName).join(', ')}`
  return `${shared}${model.modelName}, ${systemTitle(model.platform)} ${model.osVersion}${people}`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
