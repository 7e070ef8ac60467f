import type { Platform } from './models.ts'

/**
 * How a device behaves, changeable at run time: it answers; it cannot be reached; it hears pushes and does not
 * come; it says NotNow so many times, or until somebody unlocks it, where iOS may say so; it fails a share (0 to 1)
 * of its commands; it takes its time for each.
 */
export type Behaviour =
  | 'answers'
  | 'offline'
  | 'ignores_pushes'
  | { notNow: number | 'until_unlocked' }
  | { errorRate: number }
  | { delayMs: number }

/**
 * What iOS never puts off (protocol: a hint of Apple's, not a promise). Everything else may be answered NotNow,
 * above all while a device is locked with its passcode.
 */
const NEVER_NOT_NOW = new Set([
  'CertificateList', 'ClearPasscode', 'DeviceInformation', 'DeviceLock', 'EraseDevice', 'InstalledApplicationList',
  'ProfileList', 'ProvisioningProfileList', 'Restrictions',
])

/** The same for Macs, which put off in Power Nap or while the keychain of a user is locked. */
const NEVER_NOT_NOW_ON_MAC = new Set([
  'ActivationLockBypassCode', 'ClearActivationLockBypassCode', 'DeleteUser', 'DeviceLock', 'EraseDevice', 'RestartDevice',
  'ShutDownDevice', 'UnlockUserAccount', 'UserList',
])

/** Whether the device puts this command off now. */
export function putsOff(behaviour: Behaviour, requestType: string, platform: Platform = 'iphone'): boolean {
  if (typeof behaviour === 'string' || !('notNow' in behaviour)) return false
  const never = platform === 'mac' ? NEVER_NOT_NOW_ON_MAC : NEVER_NOT_NOW
  return (behaviour.notNow === 'until_unlocked' || behaviour.notNow > 0) && !never.has(requestType)
}

/** The behaviour after one NotNow: counted down, and at the end answering. */
export function afterNotNow(behaviour: Behaviour): Behaviour {
  if (typeof behaviour === 'string' || !('notNow' in behaviour)) return behaviour
  if (behaviour.notNow === 'until_unlocked') return behaviour
  return behaviour.notNow > 1 ? { notNow: behaviour.notNow - 1 } : 'answers'
}

/** The share of commands that fail, 0 to 1. */
export function errorRateOf(behaviour: Behaviour): number {
  return typeof behaviour === 'object' && 'errorRate' in behaviour ? behaviour.errorRate : 0
}

/** How long the device takes for a command. */
export function delayOf(behaviour: Behaviour): number {
  return typeof behaviour === 'object' && 'delayMs' in behaviour ? behaviour.delayMs : 0
}

/** How people write behaviours, for `--behaviour` and its help. */
export const BEHAVIOUR_FORMS = [
  'answers', 'offline', 'ignores-pushes', 'not-now', 'not-now:TIMES', 'error:RATE', 'delay:MS',
] as const

/** Reads one of BEHAVIOUR_FORMS; undefined for anything else. `not-now` alone is until the device is unlocked. */
export function parseBehaviour(text: string): Behaviour | undefined {
  if (text === 'answers' || text === 'offline') return text
  if (text === 'ignores-pushes') return 'ignores_pushes'
  if (text === 'not-now') return { notNow: 'until_unlocked' }
  const [, kind, number = ''] = /^(not-now|error|delay):(\d{1,6}(?:\.\d{1,6})?)$/.exec(text) ?? []
  const value = Number(number)
  if (kind === 'error') return value <= 1 ? { errorRate: value } : undefined
  if (!Number.isInteger(value)) return undefined
  if (kind === 'delay') return { delayMs: value }
  return kind === 'not-now' && value > 0 ? { notNow: value } : undefined
}
