import { checkCommand, type DeviceFacts } from '../../../src/apple/catalogue/check-command.ts'
import type { PlistDict } from '../../../src/apple/wire/plist.ts'

/** Enrolled by its user, with all rights. */
export const iphone: DeviceFacts = {
  platform: 'ios', osVersion: '18.1', supervised: false, accessRights: 8191, channel: 'device', userEnrollment: false,
}
export const supervised: DeviceFacts = { ...iphone, supervised: true }
export const ipad: DeviceFacts = { ...supervised, platform: 'ipados' }
export const mac: DeviceFacts = { ...supervised, platform: 'macos', osVersion: '15.1' }
/** A personal phone with an account of the organisation. */
export const byod: DeviceFacts = { ...iphone, userEnrollment: true, accessRights: null }

export const of = (RequestType: string, keys: PlistDict = {}): PlistDict => ({ ...keys, RequestType })
export const queries = (...names: string[]) => of('DeviceInformation', { Queries: names })
export const setting = (Item: string, keys: PlistDict = {}) => of('Settings', { Settings: [{ ...keys, Item }] })

/** What is found, as `refusal wrong_type /Key`. */
export function found(command: PlistDict, device: DeviceFacts): string[] {
  return checkCommand(command, device).map(({ level, code, pointer }) => `${level} ${code} ${pointer}`)
}
