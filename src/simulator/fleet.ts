import type { KeyObject } from 'node:crypto'
import { connectApnsListener, type ApnsListener, type ApnsListenerOptions } from './apns-listener.ts'
import type { Behaviour } from './behaviour.ts'
import { choicesFor } from './deal.ts'
import type { DeviceOptions, SimulatedDevice } from './device.ts'
import { resumeDevice, saveDevice, type SavedDevice } from './device-save.ts'
import { enrollDevice } from './enroll.ts'
import { EnrollmentRefused } from './enrollment-refused.ts'
import type { DeviceKind } from './kinds.ts'
import type { LiveChannel } from './live-channel.ts'
import type { DeviceModel } from './models.ts'
import type { Patience } from './patience.ts'
import { handOver } from './people.ts'

/** Where the server and the stand-in are, and how the devices behave. `ca` and `apns.ca` are PEM. */
export interface FleetPlace {
  ca?: string | undefined
  /** Without it, no push reaches the fleet. */
  apns?: ApnsListenerOptions | undefined
  behaviour?: Behaviour | undefined
  patience?: Partial<Patience> | undefined
  /** Shared iPads change hands so often; left out, never. */
  shiftMs?: number | undefined
  /** Hears of everything that happens, one after the other. */
  log?: ((event: FleetEvent) => void) | undefined
}

/**
 * A fleet to enroll. Kinds, models, names, serial numbers and keys are dealt in order; kinds and models begin again when
 * they run out, and of `kinds` each has its own models.
 */
export interface FleetOptions extends FleetPlace {
  url: string
  link: string
  count: number
  /** How many enroll at the same time; 4 unless said otherwise. */
  concurrency?: number | undefined
  kinds?: readonly DeviceKind[] | undefined
  models?: readonly DeviceModel[] | undefined
  names?: readonly string[] | undefined
  serials?: readonly string[] | undefined
  keys?: readonly KeyObject[] | undefined
  supervised?: boolean | ((index: number) => boolean) | undefined
  /** Ends the enrolling; what is enrolled by then goes on. */
  signal?: AbortSignal | undefined
}

export type FleetEvent =
  | { kind: 'enrolled'; device: SimulatedDevice; index: number }
  | { kind: 'failed'; index: number; error: unknown }
  | { kind: 'command'; device: SimulatedDevice; user?: string | undefined; requestType: string; status: string }
  | { kind: 'trouble'; device: SimulatedDevice; error: unknown }

/** Devices that run. `failures` says which enrollments came to nothing, and why. */
export interface Fleet {
  readonly devices: readonly SimulatedDevice[]
  readonly failures: readonly unknown[]
  /** For `resumeFleet`. */
  save(): SavedDevice[]
  stop(): Promise<void>
}

/**
 * Enrolls a fleet. Once the link itself is refused, no further device tries it. Rejects with the first failure when
 * not one device could enroll, and when the stand-in cannot be reached.
 */
export async function startFleet(o: FleetOptions): Promise<Fleet> {
  const fleet = await openFleet(o)
  const indexes = Array.from({ length: o.count }, (_, index) => index)
  await inParallel(o.concurrency ?? 4, indexes, async (index) => {
    if (o.signal?.aborted || fleet.failures.some(isLinkRefused)) return
    const choices = { url: o.url, link: o.link, signal: o.signal, ...choicesFor(o, index) }
    await fleet.add(index, (common) => enrollDevice({ ...choices, ...common }))
  })
  if (fleet.devices.length > 0 || fleet.failures.length === 0) return fleet
  await fleet.stop()
  throw fleet.failures[0]
}

/**
 * Saved devices go on, each on its own: one that cannot is among the failures. Rejects when the stand-in cannot be
 * reached.
 */
export async function resumeFleet(saved: readonly SavedDevice[], o: FleetPlace): Promise<Fleet> {
  const fleet = await openFleet(o)
  await inParallel(8, [...saved.entries()], ([index, one]) => fleet.add(index, (common) => resumeDevice(one, common)))
  return fleet
}

interface OpenFleet extends Fleet {
  add(index: number, begin: (common: DeviceOptions) => Promise<SimulatedDevice>): Promise<void>
}

/** A fleet without devices yet. */
async function openFleet({ ca, apns: address, behaviour, patience, shiftMs, log }: FleetPlace): Promise<OpenFleet> {
  const apns = address && (await connectApns(address))
  const devices: SimulatedDevice[] = []
  const failures: unknown[] = []
  const shifts: NodeJS.Timeout[] = []
  return {
    devices,
    failures,
    async add(index, begin) {
      try {
        const device = await begin({ ca, apns, behaviour, patience })
        devices.push(device)
        for (const channel of [device, ...device.users]) follow(device, channel, log)
        log?.({ kind: 'enrolled', device, index })
        if (shiftMs !== undefined && device.state.sharedIpad) shifts.push(startShifts(device, shiftMs, log))
      } catch (error) {
        failures.push(error)
        log?.({ kind: 'failed', index, error })
      }
    },
    save: () => devices.map(saveDevice),
    async stop() {
      shifts.forEach(clearInterval)
      await Promise.all(devices.map((device) => device.stop()))
      await apns?.close()
    },
  }
}

function follow(device: SimulatedDevice, channel: LiveChannel, log: FleetPlace['log']): void {
  const user = channel.user?.user.shortName
  channel.onCommand(({ requestType, status }) => log?.({ kind: 'command', device, user, requestType, status }))
  channel.onTrouble((error) => log?.({ kind: 'trouble', device, error }))
}

function startShifts(device: SimulatedDevice, everyMs: number, log: FleetPlace['log']): NodeJS.Timeout {
  const trouble = (error: unknown) => (device.signal.aborted ? undefined : log?.({ kind: 'trouble', device, error }))
  let changing = false
  return setInterval(() => {
    if (changing) return
    changing = true
    void handOver(device).catch(trouble).finally(() => void (changing = false))
  }, everyMs)
}

async function connectApns(address: ApnsListenerOptions): Promise<ApnsListener> {
  try {
    return await connectApnsListener(address)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    const place = `${address.host}:${address.port}`
    throw new Error(`there is no stand-in for Apple's push service at ${place} (${why})`, { cause })
  }
}

function isLinkRefused(error: unknown): boolean {
  if (!(error instanceof EnrollmentRefused) || error.step !== 'profile') return false
  // 429 and 5xx speak of the moment, not of the link.
  return error.status !== undefined && error.status < 500 && error.status !== 429
}

async function inParallel<T>(lanes: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values()
  // The lanes draw from one iterator, so each item is taken once.
  const lane = async () => {
    for (const item of queue) await work(item)
  }
  await Promise.all(Array.from({ length: Math.max(1, lanes) }, lane))
}
