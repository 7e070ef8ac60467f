import { modelsOf, type DeviceModel, type Platform } from './models.ts'

/** What can be played, as people say it. */
export const DEVICE_KINDS = ['iphone', 'ipad', 'mac', 'shared-ipad', 'appletv'] as const
export type DeviceKind = (typeof DEVICE_KINDS)[number]

const PLATFORMS: Record<DeviceKind, Platform> = {
  iphone: 'iphone', ipad: 'ipad', mac: 'mac', 'shared-ipad': 'ipad', appletv: 'appletv',
}

/** The models of one kind, in the order in which they are dealt. */
export function modelsOfKind(kind: DeviceKind): readonly DeviceModel[] {
  return modelsOf(PLATFORMS[kind])
}
