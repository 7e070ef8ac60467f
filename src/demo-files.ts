import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeBehaviour } from './demo-behaviour.ts'
import {
  loadDevice, parseBehaviour, saveDevice, type Behaviour, type DeviceMemory, type SavedDevice, type SimulatedDevice,
} from './simulator/index.ts'

/** A simulated device as it was when it was saved last. */
export interface KeptDevice {
  behaviour: Behaviour
  memory: DeviceMemory
}

interface File {
  behaviour: string
  device: SavedDevice
}

/** Where simulated devices are kept, one JSON file for each serial number. */
export interface DeviceFiles {
  save(device: SimulatedDevice): void
  /** Does nothing when there is no such file. */
  remove(serialNumber: string): void
  removeAll(): void
  /** `skip` hears of each file that cannot be read; it stays where it is. */
  load(skip: (file: string, error: unknown) => void): KeptDevice[]
}

/** The files under `<data>/simulator/devices`. They hold private keys: only the owner may read them. */
export function deviceFiles(dataFolder: string): DeviceFiles {
  const folder = join(dataFolder, 'simulator', 'devices')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const pathOf = (serialNumber: string) => join(folder, `${serialNumber}.json`)
  const paths = () => readdirSync(folder).filter((name) => name.endsWith('.json')).map((name) => join(folder, name))
  return {
    save(device) {
      const path = pathOf(device.hardware.serialNumber)
      const file: File = { behaviour: writeBehaviour(device.behaviour), device: saveDevice(device) }
      // Written aside, so that a process killed here leaves the former file whole.
      writeFileSync(`${path}.new`, JSON.stringify(file), { mode: 0o600 })
      renameSync(`${path}.new`, path)
    },
    remove: (serialNumber) => rmSync(pathOf(serialNumber), { force: true }),
    removeAll: () => paths().forEach((path) => rmSync(path, { force: true })),
    load: (skip) => paths().flatMap((path) => {
      try {
        const { behaviour, device } = JSON.parse(readFileSync(path, 'utf8')) as File
        return [{ behaviour: parseBehaviour(behaviour) ?? 'answers', memory: loadDevice(device) }]
      } catch (error) {
        skip(path, error)
        return []
      }
    }),
  }
}
