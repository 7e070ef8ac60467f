import type { PlistDict, PlistValue } from '../apple/wire/plist.ts'
import { isPlistDict } from '../apple/wire/plist-value.ts'
import type { EncodableDict } from '../apple/wire/plist-writer.ts'
import { acknowledged, badFormat, stringOf, type AnswerFunction } from './answer.ts'
import { whyNotSet } from './capabilities.ts'
import type { DeviceMemory, UserChannel } from './device-memory.ts'
import type { DeviceState } from './device-state.ts'
import { errorItem, malformedRequest, type ErrorItem } from './error-chain.ts'

/** Makes a setting; false when a key is missing or of the wrong type. */
type SettingsItem = (state: DeviceState, item: PlistDict) => boolean

/** Makes each setting by itself; those that fail are reported inside an Acknowledged answer (Apple: Settings). */
export const settings: AnswerFunction = (phone, command, _now, user) => {
  const items = command['Settings']
  if (!Array.isArray(items) || !items.every(isPlistDict)) return badFormat(malformedRequest('Settings', 'Settings'))
  return acknowledged({ Settings: items.map((item) => outcome(phone, item, user)) })
}

function outcome(phone: DeviceMemory, item: PlistDict, user: UserChannel | undefined): EncodableDict {
  const name = stringOf(item['Item']) ?? ''
  const error = apply(phone, name, item, user)
  return error ? { ErrorChain: [error], Item: name, Status: 'Error' } : { Item: name, Status: 'Acknowledged' }
}

function apply(phone: DeviceMemory, name: string, item: PlistDict, user: UserChannel | undefined): ErrorItem | undefined {
  const set = Object.hasOwn(ITEMS, name) ? ITEMS[name] : undefined
  const reason = whyNotSet(phone, name, user)
  if (!set || reason === 'unknown') return errorItem('MCSettingsErrorDomain', 28000, `The setting “${name}” is unknown.`)
  if (reason) return reason
  return set(phone.state, item) ? undefined : malformedRequest(name, 'a value is missing or of the wrong type')
}

const ITEMS: Record<string, SettingsItem> = {
  DeviceName: textInto('DeviceName', 'deviceName'),
  TimeZone: textInto('TimeZone', 'timeZone'),
  Bluetooth: flagInto('bluetooth'),
  DataRoaming: flagInto('dataRoaming'),
  VoiceRoaming: flagInto('voiceRoaming'),
  PersonalHotspot: flagInto('personalHotspot'),
  Wallpaper(state, { Image: image }) {
    if (Buffer.isBuffer(image)) state.wallpaperBytes = image.length
    return Buffer.isBuffer(image)
  },
  OrganizationInfo(state, { OrganizationInfo: info }) {
    if (info === undefined) delete state.organizationInfo
    else if (isPlistDict(info)) state.organizationInfo = strings(info)
    return info === undefined || isPlistDict(info)
  },
  MDMOptions(state, { MDMOptions: options }) {
    const allowed = isPlistDict(options) ? options['ActivationLockAllowedWhileSupervised'] : undefined
    if (typeof allowed === 'boolean') state.activationLockAllowedWhileSupervised = allowed
    return isPlistDict(options)
  },
  SharedDeviceConfiguration(state, { AwaitUserConfiguration: waits }) {
    const enabled = isPlistDict(waits) ? waits['Enabled'] : undefined
    if (typeof enabled === 'boolean') state.awaitUserConfiguration = enabled
    return waits === undefined || typeof enabled === 'boolean'
  },
  ApplicationConfiguration(state, { Identifier: identifier, Configuration: configuration }) {
    const app = state.apps.find((candidate) => candidate.identifier === identifier && candidate.managed)
    if (app) app.hasConfiguration = configuration !== undefined
    return app !== undefined
  },
}

function textInto(key: string, field: 'deviceName' | 'timeZone'): SettingsItem {
  return (state, item) => {
    const text = item[key]
    if (typeof text === 'string') state[field] = text
    return typeof text === 'string'
  }
}

function flagInto(field: 'bluetooth' | 'dataRoaming' | 'voiceRoaming' | 'personalHotspot'): SettingsItem {
  return (state, { Enabled: enabled }) => {
    if (typeof enabled === 'boolean') state[field] = enabled
    return typeof enabled === 'boolean'
  }
}

function strings(dict: PlistDict): Record<string, string> {
  const isText = (entry: [string, PlistValue]): entry is [string, string] => typeof entry[1] === 'string'
  return Object.fromEntries(Object.entries(dict).filter(isText))
}
