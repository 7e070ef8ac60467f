import type { Log } from './base/log.ts'
import { Problem } from './base/problem.ts'
import { change, leave, reasonOf, type DemoDevice } from './demo-device.ts'
import type { DeviceFiles, KeptDevice } from './demo-files.ts'
import { devicesOf, type DemoPlan } from './demo-plan.ts'
import {
  connectApnsListener, enrollDevice, SimulatedDevice, type ApnsListener, type ApnsListenerOptions, type Behaviour,
} from './simulator/index.ts'
import { createTurns, type Turns } from './simulator/turns.ts'

/** What the fleet stands on. `ca` (PEM) is the root of our own TLS. */
export interface FleetGround {
  url: string
  ca: string | undefined
  apns: ApnsListenerOptions
  files: DeviceFiles
  log: Log
  /** Which of these devices, by UDID, the server still has. */
  stillThere(udids: string[]): Promise<Set<string>>
}

const PATIENCE_MS = 3_000

/** Opens an empty fleet. Rejects when the stand-in cannot be reached. */
export async function openDemoFleet(ground: FleetGround): Promise<DemoFleet> {
  return new DemoFleet(ground, await connectApnsListener(ground.apns))
}

/**
 * Simulated devices that live in this process, over one connection to the stand-in. What they go through is on the disk
 * at once, so that they survive any end of the process.
 */
export class DemoFleet {
  readonly #ground: FleetGround
  readonly #apns: ApnsListener
  readonly #devices = new Map<string, DemoDevice>()
  readonly #lanes = { even: createTurns(), odd: createTurns() }
  readonly #givingUp = new AbortController()
  #stopped: Promise<void> | undefined

  constructor(ground: FleetGround, apns: ApnsListener) {
    this.#ground = ground
    this.#apns = apns
  }

  list(): DemoDevice[] {
    return [...this.#devices.values()]
  }

  /**
   * Begins to enroll what a plan says and is not there yet, two at a time, and returns those at once. `link` makes an
   * enrollment link for so many devices; rejects as it does.
   */
  async add(plan: DemoPlan, behaviour: Behaviour, link: (count: number) => Promise<string>): Promise<DemoDevice[]> {
    const isMissing = (serial: string) => (this.#devices.get(serial)?.now.state ?? 'failed') === 'failed'
    const wanted = devicesOf(plan, this.#devices.size).filter(({ serialNumber }) => isMissing(serialNumber))
    const added = wanted.map((one): DemoDevice => ({ ...one, behaviour, now: { state: 'enrolling' } }))
    if (added.length === 0) return []
    // Before anything is awaited: who asks for the samples meanwhile finds them here.
    for (const entry of added) this.#devices.set(entry.serialNumber, entry)
    try {
      const token = await link(added.length)
      for (const entry of added) void this.#laneOf(entry).take(() => this.#enroll(entry, token))
      return added
    } catch (error) {
      for (const entry of added) this.#forget(entry)
      throw error
    }
  }

  /** Throws `not_found`. */
  async behave(serialNumber: string, behaviour: Behaviour): Promise<DemoDevice> {
    const entry = this.#get(serialNumber)
    entry.behaviour = behaviour
    if (entry.now.state !== 'enrolled') return entry
    const { device } = entry.now
    await change(device, behaviour, (error) => this.#trouble(device, error))
    this.#keep(device)
    return entry
  }

  /** Checks a device out and forgets it. One that is just enrolling leaves when it has. Throws `not_found`. */
  async remove(serialNumber: string): Promise<void> {
    const entry = this.#get(serialNumber)
    if (entry.now.state === 'enrolled') await leave(entry.now.device)
    this.#forget(entry)
  }

  async removeAll(): Promise<void> {
    // One after the other: a CheckOut is said once, and must not meet a busy server.
    for (const { serialNumber } of this.list()) if (this.#devices.has(serialNumber)) await this.remove(serialNumber)
    this.#ground.files.removeAll()
  }

  /** Goes on with the devices of the last time that the server still has; returns how many. */
  async resume(): Promise<number> {
    const { files, log } = this.#ground
    const kept = files.load((file, error) => log.warn({ file, reason: reasonOf(error) }, 'this is no simulated device'))
    const there = await this.#ground.stillThere(kept.map(({ memory }) => memory.hardware.udid))
    for (const one of kept) if (there.has(one.memory.hardware.udid)) this.#goOn(one)
    return this.#devices.size
  }

  /** Ends all devices; the server still thinks they are there. */
  stop(): Promise<void> {
    this.#stopped ??= this.#end()
    return this.#stopped
  }

  async #end(): Promise<void> {
    // Who is enrolling may finish, or the server would be left with a device that nobody plays.
    const patience = setTimeout(() => this.#givingUp.abort(), PATIENCE_MS)
    await Promise.all(Object.values(this.#lanes).map((lane) => lane.settled()))
    clearTimeout(patience)
    await Promise.all(this.list().map(async ({ now }) => {
      if (now.state !== 'enrolled') return
      await now.device.stop()
      this.#keep(now.device)
    }))
    await this.#apns.close()
  }

  /** One device always takes the same lane, so that it never enrolls twice at a time. */
  #laneOf({ serialNumber }: DemoDevice): Turns {
    return this.#lanes[serialNumber.charCodeAt(serialNumber.length - 1) % 2 === 0 ? 'even' : 'odd']
  }

  async #enroll(entry: DemoDevice, link: string): Promise<void> {
    const { url, ca, log } = this.#ground
    const { signal } = this.#givingUp
    const { serialNumber } = entry
    if (this.#stopped || this.#devices.get(serialNumber) !== entry) return
    const { model, supervised, deviceName } = entry
    const common = { url, link, ca, apns: this.#apns, signal }
    try {
      await this.#welcome(entry, await enrollDevice({ ...common, serialNumber, model, supervised, deviceName }))
    } catch (error) {
      if (signal.aborted) return
      entry.now = { state: 'failed', reason: reasonOf(error) }
      log.warn({ serialNumber, reason: reasonOf(error) }, 'a simulated device could not enroll')
    }
  }

  async #welcome(entry: DemoDevice, device: SimulatedDevice): Promise<void> {
    // Removed while it enrolled.
    if (this.#devices.get(entry.serialNumber) !== entry) return leave(device)
    this.#attend(entry, device)
    this.#keep(device)
    if (entry.behaviour !== 'answers') await this.behave(entry.serialNumber, entry.behaviour)
  }

  #goOn({ behaviour, memory }: KeptDevice): void {
    const { serialNumber, model } = memory.hardware
    if (memory.phase !== 'enrolled' || this.#devices.has(serialNumber)) return
    const { deviceName, supervised } = memory.state
    const entry: DemoDevice = { serialNumber, model, supervised, deviceName, behaviour, now: { state: 'enrolling' } }
    const device = new SimulatedDevice(memory, { ca: this.#ground.ca, apns: this.#apns, behaviour })
    this.#devices.set(serialNumber, entry)
    this.#attend(entry, device)
    this.#hearAgain(device).catch((error: unknown) => this.#trouble(device, error))
  }

  /** A stand-in that began anew does not know the token: the device gets another one, and tells the server. */
  async #hearAgain(device: SimulatedDevice): Promise<void> {
    try {
      await device.listen()
    } catch {
      if (device.signal.aborted) return
      await device.tokenUpdate({ newToken: true })
      this.#keep(device)
    }
  }

  #attend(entry: DemoDevice, device: SimulatedDevice): void {
    entry.now = { state: 'enrolled', device }
    device.onTrouble((error) => this.#trouble(device, error))
    device.onCommand(() => {
      this.#keep(device)
      // What a command does to the device itself happens after the report.
      void device.settled().then(() => this.#keep(device))
    })
  }

  #trouble(device: SimulatedDevice, error: unknown): void {
    if (device.signal.aborted) return
    const { serialNumber } = device.hardware
    this.#ground.log.warn({ serialNumber, reason: reasonOf(error) }, 'a simulated device has trouble')
    this.#keep(device)
  }

  /** Writes down how the device is now; one that was erased or has left management is forgotten. */
  #keep(device: SimulatedDevice): void {
    const entry = this.#devices.get(device.hardware.serialNumber)
    if (entry?.now.state !== 'enrolled' || entry.now.device !== device) return
    if (device.phase !== 'enrolled') {
      this.#forget(entry)
      return void device.stop()
    }
    try {
      this.#ground.files.save(device)
    } catch (error) {
      const { serialNumber } = entry
      this.#ground.log.warn({ serialNumber, reason: reasonOf(error) }, 'a simulated device could not be saved')
    }
  }

  #forget(entry: DemoDevice): void {
    if (this.#devices.get(entry.serialNumber) !== entry) return
    this.#devices.delete(entry.serialNumber)
    this.#ground.files.remove(entry.serialNumber)
  }

  #get(serialNumber: string): DemoDevice {
    const entry = this.#devices.get(serialNumber.toUpperCase())
    if (!entry) throw new Problem('not_found', 'There is no such simulated device.')
    return entry
  }
}
