import { commands } from '../apple/catalogue/catalogue.ts'
import type { DeviceFacts } from '../apple/catalogue/device-facts.ts'
import { commandObstacles, partObstacles, type Obstacle } from '../apple/catalogue/limits.ts'
import { rightsOf, type DeviceMemory, type UserChannel } from './device-memory.ts'
import { invalidRequestType, notAuthorized, type ErrorItem } from './error-chain.ts'
import type { Platform } from './models.ts'

const PLATFORMS: Record<Platform, string> = { iphone: 'ios', ipad: 'ipados', mac: 'macos', appletv: 'tvos' }
const TITLES: Record<Platform, string> = { iphone: 'iOS', ipad: 'iPadOS', mac: 'macOS', appletv: 'tvOS' }

/** What people call the system of this platform. */
export function systemTitle(platform: Platform): string {
  return TITLES[platform]
}

/** Why this device, or the channel of `user` on it, does not do a command; undefined when it does. */
export function whyNot(phone: DeviceMemory, requestType: string, user?: UserChannel): ErrorItem | undefined {
  const obstacles = commandObstacles(commands.get(requestType)?.on ?? {}, factsOf(phone, user))
  return errorFor(obstacles, requestType)
}

/** Whether a DeviceInformation on this channel tells about `query`: what a device has not, it leaves out. */
export function tells(phone: DeviceMemory, query: string, user?: UserChannel): boolean {
  const names = commands.get('DeviceInformation')?.keys['Queries']?.items?.names
  const part = names?.[query]
  return part !== undefined && refusing(partObstacles(part, factsOf(phone, user))).length === 0
}

/** Why a setting cannot be made on this channel: `'unknown'` where the platform has no such setting. */
export function whyNotSet(phone: DeviceMemory, item: string, user?: UserChannel): 'unknown' | ErrorItem | undefined {
  const variants = commands.get('Settings')?.keys['Settings']?.items?.variants ?? {}
  const variant = Object.hasOwn(variants, item) ? variants[item] : undefined
  if (!variant) return 'unknown'
  const obstacles = refusing(partObstacles(variant, factsOf(phone, user)))
  return obstacles.some(({ requires }) => requires === 'platform') ? 'unknown' : errorFor(obstacles, item)
}

/** A device knows everything about itself. */
function factsOf(phone: DeviceMemory, user: UserChannel | undefined): DeviceFacts {
  const { hardware: { model }, state } = phone
  const shared = state.sharedIpad === true
  return {
    platform: PLATFORMS[model.platform],
    osVersion: model.osVersion,
    supervised: state.supervised,
    accessRights: rightsOf(phone),
    channel: user ? 'user' : 'device',
    userEnrollment: false,
    automatedEnrollment: shared || state.awaitingConfiguration !== undefined,
    sharedIpad: shared,
  }
}

// What it does not have comes before what it may not do; of both it says so as an iPhone does.
function errorFor(obstacles: Obstacle[], name: string): ErrorItem | undefined {
  const stops = refusing(obstacles)
  if (stops.some(({ requires }) => requires !== 'access_right')) return invalidRequestType(name)
  return stops.length > 0 ? notAuthorized(name) : undefined
}

// A right that is waived for one case is no more than a warning to the server; the device knows the case.
function refusing(obstacles: Obstacle[]): Obstacle[] {
  return obstacles.filter(({ level, requires }) => level === 'refusal' || requires === 'access_right')
}
