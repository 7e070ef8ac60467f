/** What kind of product: a Shared iPad is an iPad like any other until it is told to be one. */
export type Platform = 'iphone' | 'ipad' | 'mac' | 'appletv'

/** A product of Apple's as it comes out of the box, with the system it runs. Capacity is in gigabytes. */
export interface DeviceModel {
  platform: Platform
  /** What devices call themselves: `iPhone17,3`. */
  productName: string
  modelName: string
  /** The number printed on the device. */
  modelNumber: string
  /** The chip's identifier, with which UDIDs begin since 2018. */
  chip: string
  capacityGb: number
  osVersion: string
  buildVersion: string
}

const FAMILIES: [prefix: string, platform: Platform][] = [
  ['iPhone', 'iphone'], ['iPad', 'ipad'], ['Mac', 'mac'], ['AppleTV', 'appletv'],
]

/** The models of a simulated fleet, in the order they are handed out: new and old ones, and several systems. */
export const MODELS: readonly DeviceModel[] = [
  model('iPhone17,3', 'iPhone 16', 'A3287', '8140', 128, '18.1', '22B83'),
  model('iPhone15,4', 'iPhone 15', 'A3090', '8120', 128, '18.0.1', '22A3370'),
  model('iPhone14,6', 'iPhone SE (3rd generation)', 'A2783', '8110', 64, '17.6.1', '21G93'),
  model('iPhone16,1', 'iPhone 15 Pro', 'A3102', '8130', 256, '18.1', '22B83'),
  model('iPhone14,5', 'iPhone 13', 'A2633', '8110', 128, '17.6.1', '21G93'),
  model('iPhone14,7', 'iPhone 14', 'A2882', '8110', 128, '18.0', '22A3354'),
  model('iPhone17,1', 'iPhone 16 Pro', 'A3293', '8140', 256, '18.2', '22C152'),
  model('iPhone12,1', 'iPhone 11', 'A2221', '8030', 64, '16.7.10', '20H350'),
  model('iPhone15,2', 'iPhone 14 Pro', 'A2890', '8120', 256, '18.0', '22A3354'),
  model('iPad13,18', 'iPad (10th generation)', 'A2696', '8101', 64, '18.1', '22B83'),
  model('iPad14,3', 'iPad Pro 11-inch (4th generation)', 'A2759', '8112', 256, '18.0.1', '22A3370'),
  model('iPad13,16', 'iPad Air (5th generation)', 'A2588', '8103', 64, '17.6.1', '21G93'),
  model('iPad14,1', 'iPad mini (6th generation)', 'A2567', '8110', 64, '18.1', '22B83'),
  model('Mac15,3', 'MacBook Pro', 'A2918', '8122', 512, '15.1', '24B83'),
  model('Mac14,2', 'MacBook Air', 'A2681', '8112', 256, '14.7.1', '23H222'),
  model('Mac16,10', 'Mac mini', 'A3238', '8132', 256, '15.1', '24B83'),
  model('AppleTV14,1', 'Apple TV', 'A2843', '8110', 128, '18.1', '22J580'),
  model('AppleTV11,1', 'Apple TV', 'A2169', '8020', 64, '17.6.1', '21M80'),
]

/** The models of one platform, in the same order. */
export function modelsOf(platform: Platform): readonly DeviceModel[] {
  return MODELS.filter((candidate) => candidate.platform === platform)
}

function model(
  productName: string, modelName: string, modelNumber: string, chip: string, capacityGb: number,
  osVersion: string, buildVersion: string,
): DeviceModel {
  return { platform: platformOf(productName), productName, modelName, modelNumber, chip, capacityGb, osVersion, buildVersion }
}

function platformOf(productName: string): Platform {
  const [, platform] = FAMILIES.find(([prefix]) => productName.startsWith(prefix)) ?? []
  if (!platform) throw new Error(`no platform has ${productName}`)
  return platform
}
