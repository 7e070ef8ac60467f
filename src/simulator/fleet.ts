import type { KeyObject } from 'node:crypto'
import { connectApnsListener, type ApnsListener, type ApnsListenerOptions } from './apns-listener.ts'
import type { Behaviour } from './behaviour.ts'
import type { DeviceOptions, SimulatedDevice } from './device.ts'
import { resumeDevice, saveDevice, type SavedDevice } from './device-save.ts'
import { enrollDevice } from './enroll.ts'
import { EnrollmentRefused } from './enrollment-refused.ts'
import { modelsOf, type DeviceModel } from './models.ts'
import type { Patience } from './patience.ts'

/** Where the server and the stand-in are, and how the devices behave. `ca` and `apns.ca` are PEM. */
export interface FleetPlace {
  ca?: string | undefined
  /** Without it, no push reaches the fleet. */
  apns?: ApnsListenerOptions | undefined
  behaviour?: Behaviour | undefined
  patience?: Partial<Patience> | undefined
  /** Hears of everything that happens, one after the other. */
  log?: ((event: FleetEvent) => void) | undefined
}

/**
 * A fleet to enroll. Models, names, serial numbers and keys are dealt in order; models begin again when they run
 * out.
 */
export interface FleetOptions extends FleetPlace {
  url: string
  link: string
  count: number
  /** How many enroll at the same time; 4 unless said otherwise. */
  concurrency?: number | undefined
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
  | { kind: 'command'; device: SimulatedDevice; requestType: string; status: string }
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
async function openFleet({ ca, apns: address, behaviour, patience, log }: FleetPlace): Promise<OpenFleet> {
  const apns = address && (await connectApns(address))
  const devices: SimulatedDevice[] = []
  const failures: unknown[] = []
  return {
    devices,
    failures,
    async add(index, begin) {
      try {
        const device = await begin({ ca, apns, behaviour, patience })
        devices.push(device)
        device.onCommand(({ requestType, status }) => log?.({ kind: 'command', device, requestType, status }))
        device.onTrouble((error) => log?.({ kind: 'trouble', device, error }))
        log?.({ kind: 'enrolled', device, index })
      } catch (error) {
        failures.push(error)
        log?.({ kind: 'failed', index, error })
      }
    },
    save: () => devices.map(saveDevice),
    async stop() {
      await Promise.all(devices.map((device) => device.stop()))
      await apns?.close()
    },
  }
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

/** What is said of the device at this place in the fleet. */
export function choicesFor(o: Omit<FleetOptions, 'url' | 'link'>, index: number) {
  const models = o.models ?? modelsOf('iphone')
  return {
    model: models[index % models.length],
    serialNumber: o.serials?.[index],
    deviceName: o.names?.[index],
    key: o.keys?.[index],
    supervised: typeof o.supervised === 'function' ? o.supervised(index) : o.supervised,
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
