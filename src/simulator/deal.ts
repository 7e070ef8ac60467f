import type { FleetOptions } from './fleet.ts'
import { modelsOfKind, type DeviceKind } from './kinds.ts'
import { modelsOf } from './models.ts'

/** What is said of the device at this place in the fleet. */
export function choicesFor(o: Omit<FleetOptions, 'url' | 'link'>, index: number) {
  const { kinds } = o
  const kind = kinds?.[index % kinds.length]
  const models = o.models ?? (kind ? modelsOfKind(kind) : modelsOf('iphone'))
  // How many of its kind were dealt before this one.
  const place = kinds ? kindsBefore(kinds, index) : index
  return {
    model: models[place % models.length],
    sharedIpad: kind === 'shared-ipad' ? true : undefined,
    serialNumber: o.serials?.[index],
    deviceName: o.names?.[index],
    key: o.keys?.[index],
    supervised: typeof o.supervised === 'function' ? o.supervised(index) : o.supervised,
  }
}

function kindsBefore(kinds: readonly DeviceKind[], index: number): number {
  const kind = kinds[index % kinds.length]
  return Array.from({ length: index }, (_, before) => kinds[before % kinds.length]).filter((other) => other === kind).length
}
