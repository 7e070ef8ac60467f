import { rights, type Limits, type Placed } from './catalogue.ts'
import { findPlatform, isSharedIpad, type DeviceFacts, type Platform } from './device-facts.ts'
import type { CommandFinding } from './finding.ts'
import { compareVersions } from './os-version.ts'

/** Something that stands between a device and a command; `reason` goes on a sentence that begins with its name. */
export interface Obstacle extends Omit<CommandFinding, 'pointer' | 'detail'> {
  reason: string
}

type Check = (limits: Limits, device: DeviceFacts, platform: Platform) => Obstacle | undefined

const checks: readonly Check[] = [
  introduced, removed, supervised, automatedEnrollment, right, userEnrollment, sharedIpad, channel,
]

/** What keeps a command from working, where `on` names every platform that has it. */
export function commandObstacles(on: Record<string, Limits>, device: DeviceFacts): Obstacle[] {
  const platform = findPlatform(device)
  if (!platform) return []
  const limits = on[platform.entry]
  return limits ? judge(limits, device, platform) : [missing(platform, `; only on ${Object.keys(on).join(', ')}`)]
}

/** What keeps a part of a command from working. */
export function partObstacles(part: Placed, device: DeviceFacts): Obstacle[] {
  const platform = findPlatform(device)
  if (!platform) return []
  if (part.notOn?.includes(platform.entry)) return [missing(platform)]
  const limits = part.on?.[platform.entry]
  return limits ? judge(limits, device, platform) : []
}

/** True when the device has no such thing, as opposed to not being allowed to use it. */
export function isAbsence(obstacle: Obstacle): boolean {
  return obstacle.requires === 'platform' || obstacle.requires === 'os_version'
}

function judge(limits: Limits, device: DeviceFacts, platform: Platform): Obstacle[] {
  return checks.map((check) => check(limits, device, platform)).filter((obstacle) => obstacle !== undefined)
}

function missing(platform: Platform, elsewhere = ''): Obstacle {
  return refusal('platform', `does not exist on ${platform.title}${elsewhere}`, 'platform')
}

function introduced(limits: Limits, { osVersion }: DeviceFacts, { title }: Platform): Obstacle | undefined {
  // A version that cannot be read compares as NaN, and so is neither too old nor too new.
  const { introduced: first } = limits
  if (first === undefined || osVersion === null || !(compareVersions(osVersion, first) < 0)) return
  return refusal('os_version', `needs ${title} ${first} or newer, and this device has ${osVersion}`, 'os_version')
}

function removed(limits: Limits, { osVersion }: DeviceFacts, { title }: Platform): Obstacle | undefined {
  const { removed: end } = limits
  if (end === undefined || osVersion === null || !(compareVersions(osVersion, end) >= 0)) return
  return refusal('os_version', `is gone since ${title} ${end}, and this device has ${osVersion}`, 'os_version')
}

function supervised(limits: Limits, device: DeviceFacts, platform: Platform): Obstacle | undefined {
  if (!limits.supervised || device.supervised === true) return
  const reason = 'needs a supervised device'
  if (device.supervised === false) return refusal('supervision', `${reason}, and this one is not`, 'supervision')
  return platform.oftenUnsupervised ? unsure('supervision', reason, 'supervision') : undefined
}

function automatedEnrollment(limits: Limits, device: DeviceFacts): Obstacle | undefined {
  if (!limits.automatedEnrollment || device.automatedEnrollment === true) return
  const reason = 'needs a device that came through Automated Device Enrollment'
  // Automated Device Enrollment always supervises, and is never User Enrollment.
  const ruledOut = device.automatedEnrollment === false || device.supervised === false || device.userEnrollment
  return ruledOut
    ? refusal('automated_enrollment', `${reason}, and this one did not`, 'automated_enrollment')
    : unsure('automated_enrollment', reason, 'automated_enrollment')
}

function right(limits: Limits, { accessRights, userEnrollment }: DeviceFacts): Obstacle | undefined {
  if (limits.right === undefined || accessRights === null || userEnrollment) return
  const needed = rights[limits.right]
  if (!needed || (accessRights & needed.bit) !== 0) return
  const reason = `needs the access right "${needed.title}" (${needed.bit})`
  const remedy = '; only a new enrollment can add it'
  if (limits.rightWaivedFor === undefined) return refusal('access_right', `${reason}${remedy}`, 'access_right')
  return warning('access_right', `${reason}, except for ${limits.rightWaivedFor}${remedy}`, 'access_right')
}

function userEnrollment(limits: Limits, device: DeviceFacts): Obstacle | undefined {
  if (limits.userEnrollment !== 'forbidden' || !device.userEnrollment) return
  return refusal('user_enrollment', 'is forbidden under User Enrollment', 'device_enrollment')
}

function sharedIpad({ sharedIpad: mode }: Limits, device: DeviceFacts): Obstacle | undefined {
  if (mode === undefined) return
  const shared = isSharedIpad(device)
  const only = 'works only on a Shared iPad'
  if (mode === 'required' && shared === false) return refusal('platform', only, 'shared_ipad')
  if (mode === 'required' && shared === undefined) return unsure('platform', only, 'shared_ipad')
  if (mode === 'forbidden' && shared) return refusal('platform', 'is forbidden on a Shared iPad', 'single_user_ipad')
  if (mode === 'ignored' && shared) return warning('platform', 'has no effect on a Shared iPad', 'single_user_ipad')
  if (mode !== 'userChannel' || !shared || device.channel === 'user') return
  return refusal('channel', 'goes to the user channel of a Shared iPad, not to the device channel', 'user_channel')
}

function channel(limits: Limits, device: DeviceFacts): Obstacle | undefined {
  if (limits.channels?.includes(device.channel) !== false) return
  const other = device.channel === 'device' ? 'user' : 'device'
  return refusal('channel', `goes to the ${other} channel, not to the ${device.channel} channel`, `${other}_channel`)
}

type Words = [code: Obstacle['code'], reason: string, requires: NonNullable<Obstacle['requires']>]

function refusal(...[code, reason, requires]: Words): Obstacle {
  return { level: 'refusal', code, reason, requires }
}

function warning(...[code, reason, requires]: Words): Obstacle {
  return { level: 'warning', code, reason, requires }
}

function unsure(...[code, reason, requires]: Words): Obstacle {
  return warning(code, `${reason}, and it is not known whether this is one`, requires)
}
