import type { PlistDict } from '../apple/wire/plist.ts'
import type { EncodableDict } from '../apple/wire/plist-writer.ts'
import { acknowledged, badFormat, failed, stringOf, stringsOf, type AnswerFunction } from './answer.ts'
import type { InstalledApp } from './device-state.ts'
import { errorItem, malformedRequest } from './error-chain.ts'

/** Apps that came with the device are never listed (Apple: Installed Application List). */
export const installedApplicationList: AnswerFunction = ({ state }, command) => {
  const wanted = stringsOf(command['Identifiers'])
  const items = stringsOf(command['Items'])
  const listed = state.apps
    .filter((app) => wanted?.includes(app.identifier) ?? true)
    .filter((app) => app.managed || command['ManagedAppsOnly'] !== true)
  return acknowledged({ InstalledApplicationList: listed.map((app) => only(items, appEntry(app))) })
}

/** The person agrees at once, and the download takes no time: the app is there when the answer is. */
export const installApplication: AnswerFunction = ({ state }, command) => {
  const identifier = identifierOf(command)
  if (identifier === undefined) return badFormat(malformedRequest('InstallApplication', 'which app'))
  const before = state.apps.find((other) => other.identifier === identifier)
  if (before && !before.managed && command['ChangeManagementState'] !== 'Managed') {
    return failed(errorItem('MCMDMErrorDomain', 12025, `The app “${identifier}” is already installed.`))
  }
  const hasConfiguration = command['Configuration'] !== undefined
  const app = { ...(before ?? download(identifier)), managed: true, hasConfiguration }
  state.apps = [...state.apps.filter((other) => other !== before), app]
  return acknowledged({ Identifier: identifier, State: 'Queued' })
}

export const removeApplication: AnswerFunction = ({ state }, command) => {
  const identifier = stringOf(command['Identifier'])
  if (identifier === undefined) return badFormat(malformedRequest('RemoveApplication', 'Identifier'))
  const found = state.apps.find((app) => app.identifier === identifier && app.managed)
  if (!found) return failed(errorItem('MCMDMErrorDomain', 12029, `The app “${identifier}” is not managed.`))
  state.apps = state.apps.filter((app) => app !== found)
  return acknowledged()
}

export const managedApplicationList: AnswerFunction = ({ state }, command) => {
  const wanted = stringsOf(command['Identifiers'])
  const managed = state.apps.filter((app) => app.managed && (wanted?.includes(app.identifier) ?? true))
  const entries = managed.map((app) => [app.identifier, {
    ExternalVersionIdentifier: 0,
    HasConfiguration: app.hasConfiguration,
    HasFeedback: false,
    IsValidated: true,
    ManagementFlags: 1,
    Status: 'Managed',
  }] as const)
  return acknowledged({ ManagedApplicationList: Object.fromEntries(entries) })
}

function download(identifier: string): Omit<InstalledApp, 'managed' | 'hasConfiguration'> {
  return { identifier, name: identifier.split('.').at(-1) ?? identifier, version: '1.0', bundleSize: 20_971_520 }
}

// Only the store knows which app a number or a manifest is; here it has a name that says where it came from.
function identifierOf(command: PlistDict): string | undefined {
  const { Identifier: identifier, iTunesStoreID: storeId, ManifestURL: manifest } = command
  if (typeof identifier === 'string') return identifier
  if (typeof storeId === 'number') return `com.example.store.id${storeId}`
  return typeof manifest === 'string' ? 'com.example.enterprise' : undefined
}

function appEntry(app: InstalledApp): EncodableDict {
  return {
    AdHocCodeSigned: false,
    AppStoreVendable: true,
    BetaApp: false,
    BundleSize: app.bundleSize,
    DeviceBasedVPP: false,
    DynamicSize: 1_048_576,
    ExternalVersionIdentifier: 0,
    HasUpdateAvailable: false,
    Identifier: app.identifier,
    Installing: false,
    IsAppClip: false,
    IsValidated: true,
    Name: app.name,
    ShortVersion: app.version,
    Version: app.version,
  }
}

function only(items: string[] | undefined, entry: EncodableDict): EncodableDict {
  return items ? Object.fromEntries(Object.entries(entry).filter(([key]) => items.includes(key))) : entry
}
