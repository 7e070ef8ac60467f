import { Problem } from './base/problem.ts'
import type { Log } from './base/log.ts'
import type { DeviceFiles } from './demo-files.ts'
import {
  EnrollmentRefused, MODELS, modelsOf, randomSerialNumber, resumeFleet, startFleet,
  type Behaviour, type DeviceModel, type Fleet, type FleetEvent, type FleetPlace, type SimulatedDevice,
} from './simulator/index.ts'

/** One simulated device of this server, as the API shows it. */
export interface DemoDevice {
  serialNumber: string
  model: DeviceModel
  supervised: boolean
  state: 'enrolling' | 'enrolled' | 'failed'
  reason: string | null
  device: SimulatedDevice | undefined
}

/** What to add: so many, or the sample fleet. */
export type DemoPlan = { sample: true } | { count: number; supervised: boolean; behaviour: Behaviour }

/** Simulated devices inside this server's process, while its simulator is on. */
export interface DemoFleet {
  list(): DemoDevice[]
  /** Begins enrolling and returns at once. `link` makes an enrollment link for so many devices. */
  add(plan: DemoPlan, link: (count: number) => Promise<string>): Promise<DemoDevice[]>
  behave(serialNumber: string, behaviour: Behaviour): Promise<DemoDevice>
  /** Checks out and forgets one device, or all. */
  remove(serialNumber?: string): Promise<void>
  /** Goes on with the devices of the last time; returns how many. */
  resume(): Promise<number>
  stop(): Promise<void>
}

const SAMPLES = ['DMQVGC0DHLF0', 'DMQVGC0DHLF1', 'DMQVGC0DHLF2', 'DMQVGC0DHLF3', 'DMQVGC0DHLF4', 'DMQVGC0DHLF5']
const KIOSKS = new Set(['DMQVGC0DHLF3', 'DMQVGC0DHLF4']) // the two supervised ones of the sample fleet

/** A fleet that enrolls at `url` and trusts what `place` says. */
export function openDemoFleet(url: string, place: FleetPlace, files: DeviceFiles, log: Log): DemoFleet {
  const devices = new Map<string, DemoDevice>()
  const fleets: Fleet[] = []
  const ending = new AbortController()
  let enrolling: Promise<void> = Promise.resolve()

  function hear(serials: readonly string[]) {
    return (event: FleetEvent): void => {
      if (event.kind === 'trouble') return log.warn({ reason: textOf(event.error) }, 'a simulated device has trouble')
      if (event.kind === 'failed') return fail(serials[event.index], event.error)
      const { hardware, supervised } = { hardware: event.device.hardware, supervised: event.device.state.supervised }
      devices.set(hardware.serialNumber, { serialNumber: hardware.serialNumber, model: hardware.model, supervised, state: 'enrolled', reason: null, device: event.device })
      keep(event.device)
    }
  }

  function fail(serialNumber: string | undefined, error: unknown): void {
    const entry = serialNumber === undefined ? undefined : devices.get(serialNumber)
    if (entry) Object.assign(entry, { state: 'failed', reason: textOf(error) })
    log.warn({ serialNumber, reason: textOf(error) }, 'a simulated device could not enroll')
  }

  /** A device that left or was erased is not there any more the next time. */
  function keep(device: SimulatedDevice): void {
    if (device.phase === 'enrolled') files.save(device)
    else files.remove(device.hardware.serialNumber)
  }

  function entriesOf(plan: DemoPlan): DemoDevice[] {
    const serials = 'sample' in plan ? SAMPLES.filter((serial) => !isThere(serial)) : Array.from({ length: plan.count }, () => randomSerialNumber())
    const models = modelsOf('iphone')
    return serials.map((serialNumber, index) => ({
      serialNumber,
      model: models[('sample' in plan ? SAMPLES.indexOf(serialNumber) : devices.size + index) % models.length] ?? (MODELS[0] as DeviceModel),
      supervised: 'sample' in plan ? KIOSKS.has(serialNumber) : plan.supervised,
      state: 'enrolling',
      reason: null,
      device: undefined,
    }))
  }

  const isThere = (serial: string) => devices.has(serial) && devices.get(serial)?.state !== 'failed'

  async function enroll(entries: DemoDevice[], link: string, behaviour: Behaviour): Promise<void> {
    const serials = entries.map((entry) => entry.serialNumber)
    try {
      fleets.push(await startFleet({
        ...place, url, link, count: entries.length, concurrency: 2, serials, models: entries.map((entry) => entry.model),
        supervised: (index) => entries[index]?.supervised ?? false, behaviour, signal: ending.signal, log: hear(serials),
      }))
    } catch (error) {
      for (const serial of serials) if (devices.get(serial)?.state === 'enrolling') fail(serial, error)
    }
  }

  function get(serialNumber: string): DemoDevice {
    const entry = devices.get(serialNumber)
    if (!entry) throw new Problem('not_found', 'There is no such simulated device')
    return entry
  }

  return {
    list: () => [...devices.values()],
    async add(plan, link) {
      const entries = entriesOf(plan)
      if (entries.length === 0) return []
      const token = await link(entries.length)
      for (const entry of entries) devices.set(entry.serialNumber, entry)
      enrolling = enrolling.then(() => enroll(entries, token, 'sample' in plan ? 'answers' : plan.behaviour))
      return entries
    },
    async behave(serialNumber, behaviour) {
      const entry = get(serialNumber)
      await entry.device?.behave(behaviour)
      return entry
    },
    async remove(serialNumber) {
      for (const entry of serialNumber === undefined ? [...devices.values()] : [get(serialNumber)]) {
        if (entry.device?.phase === 'enrolled') await entry.device.checkOut()
        await entry.device?.stop()
        files.remove(entry.serialNumber)
        devices.delete(entry.serialNumber)
      }
    },
    async resume() {
      const saved = files.load()
      if (saved.length > 0) fleets.push(await resumeFleet(saved, { ...place, log: hear(saved.map((one) => one.hardware.serialNumber)) }))
      return devices.size
    },
    async stop() {
      ending.abort()
      await enrolling
      for (const { device } of devices.values()) if (device) keep(device)
      await Promise.all(fleets.map((fleet) => fleet.stop()))
    },
  }
}

function textOf(error: unknown): string {
  if (error instanceof EnrollmentRefused) return `refused at ${error.step}`
  return error instanceof Error ? error.message : String(error)
}
