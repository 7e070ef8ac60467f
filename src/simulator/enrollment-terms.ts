import type { DeviceMemory, Enrollment } from './device-memory.ts'
import type { DeviceState } from './device-state.ts'
import type { Hardware } from './hardware.ts'

const LOCK_AND_PASSCODE = 4
const PER_USER = 'com.apple.mdm.per-user-connections'
const BOOTSTRAP_TOKEN = 'com.apple.mdm.bootstraptoken'

/** Whether users of the device get channels of their own: only where the server says it can do that. */
export function hasUserChannels({ hardware, state, enrollment }: DeviceMemory): boolean {
  const many = hardware.model.platform === 'mac' || state.sharedIpad === true
  return many && enrollment.profile.serverCapabilities.includes(PER_USER)
}

/** Whether the device entrusts a bootstrap token: a supervised Mac, to a server that says it keeps them. */
export function entrustsBootstrapToken({ hardware, state, enrollment }: DeviceMemory): boolean {
  const may = hardware.model.platform === 'mac' && state.supervised
  return may && enrollment.profile.serverCapabilities.includes(BOOTSTRAP_TOKEN)
}

/** Whether the device hands out an UnlockToken under this profile: neither Macs nor Apple TVs do, nor Shared iPads. */
export function givesUnlockToken(
  { model }: Hardware, { sharedIpad }: Pick<DeviceState, 'sharedIpad'>, { accessRights }: Enrollment['profile'],
): boolean {
  const hasOne = (model.platform === 'iphone' || model.platform === 'ipad') && sharedIpad !== true
  return hasOne && (accessRights === undefined || (accessRights & LOCK_AND_PASSCODE) !== 0)
}
