import { decodePlist, plistDict, type PlistDict, type PlistValue } from '../../apple/wire/plist.ts'
import { verifyAttached } from '../../apple/wire/cms.ts'

/** Commands that only ask: sending the same question twice before the first was fetched helps nobody. */
const QUERIES = new Set([
  'DeviceInformation', 'SecurityInfo', 'ProfileList', 'CertificateList', 'InstalledApplicationList', 'ProvisioningProfileList', 'Restrictions',
  'ManagedApplicationList', 'ManagedApplicationFeedback', 'ManagedApplicationConfiguration', 'ManagedApplicationAttributes', 'ManagedMediaList',
  'AvailableOSUpdates', 'OSUpdateStatus', 'UserList', 'DeviceLocation', 'ActiveNSExtensions', 'NSExtensionMappings', 'ContentCachingInformation',
])

/** Whether a command only reads. */
export function isQuery(requestType: string): boolean {
  return QUERIES.has(requestType)
}

const DESTRUCTIVE = new Set(['EraseDevice', 'DeviceLock', 'ClearPasscode', 'RemoveProfile', 'DeleteUser', 'SetFirmwarePassword', 'SetRecoveryLock'])

/** What can cost a person their data or their phone asks for a scope of its own, `actions:destructive`. */
export function isDestructive(requestType: string): boolean {
  return DESTRUCTIVE.has(requestType)
}

/**
 * What a newer command replaces while an older one is undelivered, or null: the same profile installed again, the same
 * settings set again (product/api.md, queue and push rules).
 */
export function replacesKey(command: PlistDict): string | null {
  if (command['RequestType'] === 'InstallProfile') return profileKey(command['Payload'])
  if (command['RequestType'] === 'Settings') return settingsKey(command['Settings'])
  return null
}

function settingsKey(settings: PlistValue | undefined): string | null {
  if (!Array.isArray(settings)) return null
  const items = settings.map((setting) => (isDict(setting) && typeof setting['Item'] === 'string' ? setting['Item'] : undefined))
  // Settings of one application are not those of another.
  if (items.some((item) => item === undefined || item.startsWith('Application'))) return null
  return `settings:${items.toSorted((a, b) => (a ?? '').localeCompare(b ?? '')).join(',')}`.slice(0, 500)
}

function profileKey(payload: PlistValue | undefined): string | null {
  if (!Buffer.isBuffer(payload)) return null
  try {
    const identifier = plistDict(decodePlist(unsigned(payload)))['PayloadIdentifier']
    return typeof identifier === 'string' ? `profile:${identifier}`.slice(0, 500) : null
  } catch {
    return null // a profile we cannot read (encrypted, say) replaces nothing
  }
}

/** The profile inside a signed one: 0x30 begins a CMS, `<` an XML plist. */
function unsigned(profile: Buffer): Buffer {
  return profile[0] === 0x30 ? verifyAttached(profile).content : profile
}

function isDict(value: PlistValue): value is PlistDict {
  return typeof value === 'object' && !Array.isArray(value) && !Buffer.isBuffer(value) && !(value instanceof Date)
}
