import type { PlistDict, PlistValue } from '../apple/wire/plist.ts'
import { isPlistDict } from '../apple/wire/plist-value.ts'
import type { EncodableDict } from '../apple/wire/plist-writer.ts'
import { acknowledged, badFormat, stringOf, type AnswerFunction } from './answer.ts'
import { rightsOf, type DeviceMemory } from './device-memory.ts'
import type { DeviceState } from './device-state.ts'
import { errorItem, invalidRequestType, malformedRequest, notAuthorized, type ErrorItem } from './error-chain.ts'

interface SettingsItem {
  supervised?: true
  /** A right besides Settings (2048). */
  right?: number
  /** Makes the setting; false when a key is missing or of the wrong type. */
  set: (state: DeviceState, item: PlistDict) => boolean
}

/** Makes each setting by itself; those that fail are reported inside an Acknowledged answer (Apple: Settings). */
export const settings: AnswerFunction = (phone, command) => {
  const items = command['Settings']
  if (!Array.isArray(items) || !items.every(isPlistDict)) return badFormat(malformedRequest('Settings', 'Settings'))
  return acknowledged({ Settings: items.map((item) => outcome(phone, item)) })
}

function outcome(phone: DeviceMemory, item: PlistDict): EncodableDict {
  const name = stringOf(item['Item']) ?? ''
  const error = apply(phone, name, item)
  return error ? { ErrorChain: [error], Item: name, Status: 'Error' } : { Item: name, Status: 'Acknowledged' }
}

function apply(phone: DeviceMemory, name: string, item: PlistDict): ErrorItem | undefined {
  const known = Object.hasOwn(ITEMS, name) ? ITEMS[name] : undefined
  if (!known) return errorItem('MCSettingsErrorDomain', 28000, `The setting “${name}” is unknown.`)
  if (known.supervised && !phone.state.supervised) return invalidRequestType(name)
  if (known.right !== undefined && (rightsOf(phone) & known.right) === 0) return notAuthorized(name)
  return known.set(phone.state, item) ? undefined : malformedRequest(name, 'a value is missing or of the wrong type')
}

const ITEMS: Record<string, SettingsItem> = {
  DeviceName: { supervised: true, set: textInto('DeviceName', 'deviceName') },
  TimeZone: { supervised: true, set: textInto('TimeZone', 'timeZone') },
  Bluetooth: { supervised: true, right: 32, set: flagInto('bluetooth') },
  DataRoaming: { right: 32, set: flagInto('dataRoaming') },
  VoiceRoaming: { right: 32, set: flagInto('voiceRoaming') },
  PersonalHotspot: { right: 32, set: flagInto('personalHotspot') },
  Wallpaper: {
    supervised: true,
    set(state, { Image: image }) {
      if (Buffer.isBuffer(image)) state.wallpaperBytes = image.length
      return Buffer.isBuffer(image)
    },
  },
  OrganizationInfo: {
    set(state, { OrganizationInfo: info }) {
      if (info === undefined) delete state.organizationInfo
      else if (isPlistDict(info)) state.organizationInfo = strings(info)
      return info === undefined || isPlistDict(info)
    },
  },
  MDMOptions: {
    set(state, { MDMOptions: options }) {
      const allowed = isPlistDict(options) ? options['ActivationLockAllowedWhileSupervised'] : undefined
      if (typeof allowed === 'boolean') state.activationLockAllowedWhileSupervised = allowed
      return isPlistDict(options)
    },
  },
  ApplicationConfiguration: {
    right: 4096,
    set(state, { Identifier: identifier, Configuration: configuration }) {
      const app = state.apps.find((candidate) => candidate.identifier === identifier && candidate.managed)
      if (app) app.hasConfiguration = configuration !== undefined
      return app !== undefined
    },
  },
}

function textInto(key: string, field: 'deviceName' | 'timeZone'): SettingsItem['set'] {
  return (state, item) => {
    const text = item[key]
    if (typeof text === 'string') state[field] = text
    return typeof text === 'string'
  }
}

function flagInto(field: 'bluetooth' | 'dataRoaming' | 'voiceRoaming' | 'personalHotspot'): SettingsItem['set'] {
  return (state, { Enabled: enabled }) => {
    if (typeof enabled === 'boolean') state[field] = enabled
    return typeof enabled === 'boolean'
  }
}

function strings(dict: PlistDict): Record<string, string> {
  const isText = (entry: [string, PlistValue]): entry is [string, string] => typeof entry[1] === 'string'
  return Object.fromEntries(Object.entries(dict).filter(isText))
}
