import { modelsOf, randomSerialNumber, type DeviceModel } from './simulator/index.ts'

/** What to add: so many new iPhones, or the sample fleet. */
export type DemoPlan = { supervised: boolean | undefined } & ({ sample: true } | { count: number })

/** A simulated device that shall be there. Without `deviceName` it has its model's. */
export interface WantedDevice {
  serialNumber: string
  model: DeviceModel
  supervised: boolean
  deviceName?: string
}

const SAMPLES = ['DMQVGC0DHLF0', 'DMQVGC0DHLF1', 'DMQVGC0DHLF2', 'DMQVGC0DHLF3', 'DMQVGC0DHLF4', 'DMQVGC0DHLF5']
const KIOSKS = new Map([['DMQVGC0DHLF3', 'Kiosk 1'], ['DMQVGC0DHLF4', 'Kiosk 2']])

/**
 * The devices of a plan. The samples are the same six each time: four phones as a link enrolls them, and two supervised
 * kiosks. The models of new ones go on where those of `already` devices have left off.
 */
export function devicesOf(plan: DemoPlan, already: number): WantedDevice[] {
  const { supervised } = plan
  if (!('sample' in plan)) {
    return Array.from({ length: plan.count }, (_, index) => (
      { serialNumber: randomSerialNumber(), model: modelAt(already + index), supervised: supervised ?? false }
    ))
  }
  return SAMPLES.map((serialNumber, index) => {
    const model = modelAt(index)
    const kiosk = KIOSKS.get(serialNumber)
    const deviceName = kiosk ?? `${model.modelName} (sales)`
    return { serialNumber, model, deviceName, supervised: supervised ?? kiosk !== undefined }
  })
}

function modelAt(index: number): DeviceModel {
  const models = modelsOf('iphone')
  const model = models[index % models.length]
  if (!model) throw new Error('the simulator knows no iPhone')
  return model
}
