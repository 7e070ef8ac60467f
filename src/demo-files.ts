import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { saveDevice, type SavedDevice, type SimulatedDevice } from './simulator/index.ts'

/** Where simulated devices are kept, one JSON file for each serial number. */
export interface DeviceFiles {
  save(device: SimulatedDevice): void
  /** Does nothing when there is no such file. */
  remove(serialNumber: string): void
  load(): SavedDevice[]
}

/** The files under `<data>/simulator/devices`. They hold private keys: only the owner may read them. */
export function deviceFiles(dataFolder: string): DeviceFiles {
  const folder = join(dataFolder, 'simulator', 'devices')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const pathOf = (serialNumber: string) => join(folder, `${serialNumber}.json`)
  return {
    save(device) {
      const path = pathOf(device.hardware.serialNumber)
      // Written aside, so that a process killed here leaves the former file whole.
      writeFileSync(`${path}.new`, JSON.stringify(saveDevice(device)), { mode: 0o600 })
      renameSync(`${path}.new`, path)
    },
    remove: (serialNumber) => rmSync(pathOf(serialNumber), { force: true }),
    load: () => readdirSync(folder).filter((name) => name.endsWith('.json'))
      .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as SavedDevice),
  }
}
