/** What is known of a device and of the channel a command goes to. null or absent: not known. */
export interface DeviceFacts {
  /** ios (iPhone and iPod only), ipados, macos, tvos, visionos, watchos; any other counts as not known. */
  platform: string | null
  osVersion: string | null
  supervised: boolean | null
  /** The AccessRights bits of its MDM payload. */
  accessRights: number | null
  channel: 'device' | 'user'
  /** Account-driven enrollment of a personal device: access rights do not exist there. */
  userEnrollment: boolean
  automatedEnrollment?: boolean | null
  sharedIpad?: boolean | null
}

/** A platform as the catalogue and as people call it. */
export interface Platform {
  /** iPadOS follows the entries of iOS. */
  entry: string
  title: string
  /** False where being managed is being supervised: macOS 11 and later, and watches, which need a supervised iPhone. */
  oftenUnsupervised: boolean
}

const PLATFORMS: ReadonlyMap<string | null, Platform> = new Map([
  ['ios', { entry: 'iOS', title: 'iOS', oftenUnsupervised: true }],
  ['ipados', { entry: 'iOS', title: 'iPadOS', oftenUnsupervised: true }],
  ['macos', { entry: 'macOS', title: 'macOS', oftenUnsupervised: false }],
  ['tvos', { entry: 'tvOS', title: 'tvOS', oftenUnsupervised: true }],
  ['visionos', { entry: 'visionOS', title: 'visionOS', oftenUnsupervised: true }],
  ['watchos', { entry: 'watchOS', title: 'watchOS', oftenUnsupervised: false }],
])

/** The device's platform, when it is one the catalogue has. */
export function findPlatform(device: DeviceFacts): Platform | undefined {
  return PLATFORMS.get(device.platform)
}

/** On iOS only a Shared iPad has a user channel; without one an iPad may be either, which is undefined. */
export function isSharedIpad(device: DeviceFacts): boolean | undefined {
  if (typeof device.sharedIpad === 'boolean') return device.sharedIpad
  if (device.platform !== 'ipados') return false
  return device.channel === 'user' ? true : undefined
}
