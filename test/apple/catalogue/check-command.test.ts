import { describe, expect, it } from 'vitest'
import { checkCommand, commandTypes, type CommandFinding, type DeviceFacts } from '../../../src/apple/catalogue/check-command.ts'
import type { PlistDict } from '../../../src/apple/wire/plist.ts'

const iphone: DeviceFacts = {
  platform: 'ios', osVersion: '18.1', supervised: false, accessRights: 8191, channel: 'device', userEnrollment: false,
}
const supervised = { ...iphone, supervised: true }
const ipad: DeviceFacts = { ...supervised, platform: 'ipados' }
const mac: DeviceFacts = { ...supervised, platform: 'macos', osVersion: '15.1' }
const byod: DeviceFacts = { ...iphone, userEnrollment: true, accessRights: null }

const data = Buffer.from('x')

/** What was found, as `refusal os_version /Key`. */
function found(command: PlistDict | string, device: DeviceFacts): string[] {
  const findings = checkCommand(typeof command === 'string' ? { RequestType: command } : command, device)
  return findings.map(({ level, code, pointer }) => `${level} ${code} ${pointer}`)
}

function only(command: PlistDict, device: DeviceFacts): CommandFinding {
  const findings = checkCommand(command, device)
  expect(findings).toHaveLength(1)
  return findings[0]!
}

const setting = (item: PlistDict): PlistDict => ({ RequestType: 'Settings', Settings: [item] })
const queries = (...names: string[]): PlistDict => ({ RequestType: 'DeviceInformation', Queries: names })

describe('what can never work is refused', () => {
  it.each<[string, PlistDict | string, DeviceFacts, string[]]>([
    ['a command nobody knows', 'MakeCoffee', iphone, ['refusal unknown_request_type /RequestType']],
    ['a command named like a property of every object', 'constructor', iphone, ['refusal unknown_request_type /RequestType']],
    ['a command without a name', {}, iphone, ['refusal missing_key /RequestType']],
    ['a name that is no string', { RequestType: 7 }, iphone, ['refusal wrong_type /RequestType']],
    ['a command of another platform', 'RotateFileVaultKey', iphone, ['refusal platform ']],
    ['an OS that is too old', 'DeclarativeManagement', { ...iphone, osVersion: '14.8.1' }, ['refusal os_version ']],
    ['an OS that no longer has it', 'OSUpdateStatus', { ...supervised, osVersion: '27.0' }, ['refusal os_version ']],
    ['a device that is not supervised', 'RestartDevice', iphone, ['refusal supervision ']],
    ['a Mac that did not come through Automated Device Enrollment', 'AccountConfiguration',
      { ...mac, automatedEnrollment: false }, ['refusal automated_enrollment ']],
    ['an unsupervised device where Automated Device Enrollment is needed', 'AccountConfiguration',
      { ...mac, supervised: false }, ['refusal automated_enrollment ']],
    ['a right that was not granted', 'DeviceLock', { ...iphone, accessRights: 8191 - 4 }, ['refusal access_right ']],
    ['User Enrollment', 'EraseDevice', byod, ['refusal user_enrollment ']],
    ['the device channel of a Mac for a command of its users', 'NSExtensionMappings', mac, ['refusal channel ']],
    ['the user channel for a command of the device', 'EraseDevice', { ...mac, channel: 'user' }, ['refusal channel ']],
    ['a required key that is missing', 'InstallProfile', iphone, ['refusal missing_key /Payload']],
    ['none of the keys of which one is needed', 'EnableLostMode', supervised, ['refusal missing_key /Message']],
    ['a key of the wrong type', { RequestType: 'InstallProfile', Payload: 'PD94' }, iphone, ['refusal wrong_type /Payload']],
    ['a string for a boolean', { RequestType: 'ProfileList', ManagedOnly: 'true' }, iphone, ['refusal wrong_type /ManagedOnly']],
    ['a value Apple does not have', { RequestType: 'EraseDevice', ObliterationBehavior: 'Maybe' }, mac,
      ['refusal wrong_value /ObliterationBehavior']],
    ['a wrong type inside an array', queries('Model', 'OSVersion').RequestType === undefined ? '' :
      { RequestType: 'DeviceInformation', Queries: ['Model', 7] }, iphone, ['refusal wrong_type /Queries/1']],
    ['a missing key inside a dictionary', { RequestType: 'EraseDevice', ReturnToService: {} }, iphone,
      ['refusal missing_key /ReturnToService/Enabled']],
  ])('%s', (_, command, device, expected) => {
    expect(found(command, device)).toEqual(expected)
  })
})

describe('what may work in part is a warning', () => {
  it.each<[string, PlistDict | string, DeviceFacts, string[]]>([
    ['a key nobody knows', { RequestType: 'DeviceLock', Mesage: 'Hi' }, iphone, ['warning unknown_key /Mesage']],
    ['a key named like a property of every object', { RequestType: 'DeviceLock', toString: 'x' }, iphone, ['warning unknown_key /toString']],
    ['a key with a slash and a tilde', { RequestType: 'DeviceLock', 'a/b~c': 1 }, iphone, ['warning unknown_key /a~1b~0c']],
    ['a key of another platform, whatever it holds', { RequestType: 'EraseDevice', PIN: 123456 }, iphone, ['warning platform /PIN']],
    ['a key of a newer OS', { RequestType: 'EraseDevice', ReturnToService: {} }, { ...iphone, osVersion: '16.7' },
      ['warning os_version /ReturnToService']],
    ['a key that User Enrollment forbids', { RequestType: 'InstallApplication', Identifier: 'a.b', ChangeManagementState: 'Managed' },
      byod, ['warning user_enrollment /ChangeManagementState']],
    ['a value that Apple does not name', { RequestType: 'InstallApplication', Identifier: 'a.b', ManagementFlags: 2 }, iphone,
      ['warning wrong_value /ManagementFlags']],
    ['a query nobody knows', queries('OSVersion', 'ShoeSize'), iphone, ['warning wrong_value /Queries/1']],
    ['a query of another platform', queries('HostName'), iphone, ['warning platform /Queries/0']],
    ['a query of a newer OS', queries('TimeZone'), { ...iphone, osVersion: '13.7' }, ['warning os_version /Queries/0']],
    ['a query without its right', queries('OSVersion', 'WiFiMAC'), { ...iphone, accessRights: 16 }, ['warning access_right /Queries/1']],
    ['a query that User Enrollment forbids', queries('SerialNumber'), byod, ['warning user_enrollment /Queries/0']],
    ['a query that needs supervision', queries('AccessibilitySettings'), iphone, ['warning supervision /Queries/0']],
    ['the removal of a profile without the right, as it may be the MDM profile', { RequestType: 'RemoveProfile', Identifier: 'a.b' },
      { ...iphone, accessRights: 1 }, ['warning access_right ']],
    ['supervision that is not known', 'RestartDevice', { ...iphone, supervised: null }, ['warning supervision ']],
    ['Automated Device Enrollment that is not known', 'AccountConfiguration', mac, ['warning automated_enrollment ']],
    ['an iPad that may be shared', 'LogOutUser', ipad, ['warning platform ']],
  ])('%s', (_, command, device, expected) => {
    expect(found(command, device)).toEqual(expected)
  })
})

describe('an item of Settings is judged like a command', () => {
  it.each<[string, PlistDict, DeviceFacts, string[]]>([
    ['works', setting({ Item: 'DataRoaming', Enabled: true }), iphone, []],
    ['needs a right of its own', setting({ Item: 'DataRoaming', Enabled: true }), { ...iphone, accessRights: 2048 },
      ['refusal access_right /Settings/0']],
    ['needs supervision', setting({ Item: 'Bluetooth', Enabled: true }), iphone, ['refusal supervision /Settings/0']],
    ['exists on other platforms', setting({ Item: 'HostName', HostName: 'x' }), iphone, ['refusal platform /Settings/0']],
    ['is forbidden under User Enrollment', setting({ Item: 'PersonalHotspot', Enabled: true }), byod,
      ['refusal user_enrollment /Settings/0']],
    ['is unknown', setting({ Item: 'Volume' }), iphone, ['refusal wrong_value /Settings/0/Item']],
    ['is named like a property of every object', setting({ Item: 'valueOf' }), iphone, ['refusal wrong_value /Settings/0/Item']],
    ['says not what it is', setting({ Enabled: true }), iphone, ['refusal missing_key /Settings/0/Item']],
    ['is named by a number', setting({ Item: 1 }), iphone, ['refusal wrong_type /Settings/0/Item']],
    ['lacks a key', setting({ Item: 'VoiceRoaming' }), iphone, ['refusal missing_key /Settings/0/Enabled']],
    ['goes to the device channel', setting({ Item: 'MDMOptions', MDMOptions: {} }), { ...ipad, channel: 'user' },
      ['refusal channel /Settings/0']],
    ['goes to the user channel of a Shared iPad', setting({ Item: 'DefaultApplications' }),
      { ...ipad, osVersion: '18.2', sharedIpad: true }, ['refusal channel /Settings/0']],
    ['has a key the platform lacks', setting({ Item: 'SharedDeviceConfiguration', TemporarySessionTimeout: 60, QuotaSize: 1 }),
      { ...supervised, platform: 'visionos', osVersion: '26.0' }, ['warning platform /Settings/0/QuotaSize']],
  ])('that %s', (_, command, device, expected) => {
    expect(found(command, device)).toEqual(expected)
  })
})

describe('an iPhone that is not supervised', () => {
  it.each([
    'RestartDevice', 'ShutDownDevice', 'EnableLostMode', 'DisableLostMode', 'DeviceLocation', 'PlayLostModeSound',
    'ActivationLockBypassCode', 'ClearActivationLockBypassCode', 'ClearRestrictionsPassword', 'StopMirroring',
    'ScheduleOSUpdate', 'AvailableOSUpdates', 'OSUpdateStatus', 'DeviceConfigured',
  ])('is refused %s', (type) => {
    expect(found(type, iphone)).toContain('refusal supervision ')
  })

  it.each<PlistDict>([
    { RequestType: 'DeviceLock', Message: 'Lost', PhoneNumber: '+1' }, { RequestType: 'EraseDevice', PreserveDataPlan: true },
    { RequestType: 'InstallProfile', Payload: data }, { RequestType: 'SecurityInfo' }, { RequestType: 'ProfileList' },
    { RequestType: 'ClearPasscode', UnlockToken: data }, queries('DeviceName', 'OSVersion', 'SerialNumber', 'WiFiMAC'),
    { RequestType: 'RemoveProfile', Identifier: 'a.b' }, { RequestType: 'InstallApplication', iTunesStoreID: 361309726 },
  ])('is given $RequestType', (command) => {
    expect(found(command, iphone)).toEqual([])
  })
})

describe('User Enrollment', () => {
  it.each(['EraseDevice', 'ClearPasscode', 'Restrictions', 'RestartDevice', 'EnableLostMode'])('forbids %s', (type) => {
    expect(found(type, byod)).toContain('refusal user_enrollment ')
  })

  it('asks for no rights', () => {
    expect(found('DeviceLock', { ...byod, accessRights: 0 })).toEqual([])
  })
})

describe('what is not known', () => {
  it('of the platform refuses nothing', () => {
    expect(found('RotateFileVaultKey', { ...iphone, platform: null })).toEqual([
      'refusal missing_key /KeyType', 'refusal missing_key /FileVaultUnlock',
    ])
    expect(found('RestartDevice', { ...iphone, platform: 'audioos' })).toEqual([])
  })

  it.each([null, '', 'beta', '22B83'.slice(2)])('of the version (%j) refuses nothing', (osVersion) => {
    expect(found('TriggerEnhancedLogCollection', { ...supervised, osVersion })).toEqual(['refusal missing_key /AppleCareToken'])
  })

  it('of the rights refuses nothing', () => {
    expect(found('DeviceLock', { ...iphone, accessRights: null })).toEqual([])
  })

  it('of supervision is no matter on a Mac', () => {
    expect(found('EnableRemoteDesktop', { ...mac, supervised: null })).toEqual([])
    expect(found('EnableRemoteDesktop', { ...mac, supervised: false })).toEqual(['refusal supervision '])
  })
})

describe('platforms and versions', () => {
  it('compares versions as versions', () => {
    expect(found('RefreshCellularPlans', { ...iphone, osVersion: '9.3' })).toEqual(['refusal os_version '])
    expect(found('ContentCachingInformation', { ...mac, osVersion: '10.15.10' })).toEqual([])
    expect(found('ContentCachingInformation', { ...mac, osVersion: '10.15' })).toEqual(['refusal os_version '])
  })

  it('reads iPadOS in the entries of iOS and calls it by its name', () => {
    const finding = only({ RequestType: 'DeclarativeManagement' }, { ...ipad, osVersion: '14.0' })
    expect(finding.detail).toBe('DeclarativeManagement needs iPadOS 15.0 or newer, and this device has 14.0.')
  })

  it.each<[DeviceFacts, string[]]>([
    [{ ...iphone, osVersion: '17.0' }, ['refusal platform ']],
    [{ ...ipad, sharedIpad: true }, []],
    [{ ...ipad, sharedIpad: false }, ['refusal platform ']],
    [{ ...ipad, channel: 'user' }, ['refusal channel ']],
  ])('knows a Shared iPad: %j', (device, expected) => {
    expect(found('LogOutUser', device)).toEqual(expected)
  })

  it('keeps what a Shared iPad forbids from it alone', () => {
    expect(found('ClearRestrictionsPassword', ipad)).toEqual([])
    expect(found('ClearRestrictionsPassword', { ...ipad, sharedIpad: true })).toEqual(['refusal platform '])
    expect(found({ RequestType: 'DeviceLock', Message: 'x' }, { ...ipad, sharedIpad: true })).toEqual(['warning platform /Message'])
  })
})

describe('a finding', () => {
  it('says what is missing', () => {
    expect(only({ RequestType: 'DeviceLock' }, { ...iphone, accessRights: 3 })).toEqual({
      level: 'refusal', code: 'access_right', pointer: '', requires: 'access_right',
      detail: 'DeviceLock needs the access right "device lock and passcode removal" (4); only a new enrollment can add it.',
    })
    expect(only({ RequestType: 'EraseDevice' }, byod).requires).toBe('device_enrollment')
    expect(only({ RequestType: 'EraseDevice' }, { ...mac, channel: 'user' }).requires).toBe('device_channel')
  })

  it.each([
    ['RestartDevise', 'RestartDevice'], ['LockDevice', 'DeviceLock'], ['eraseDevice', 'EraseDevice'], ['ProfilesList', 'ProfileList'],
    ['InstallProfil', 'InstallProfile'],
  ])('suggests for %s %s', (wrong, right) => {
    expect(only({ RequestType: wrong }, iphone).detail).toContain(`Did you mean ${right}?`)
  })

  it('suggests nothing for a word that is like no other, and never repeats a long one', () => {
    const detail = only({ RequestType: `${'x'.repeat(10_000)}` }, iphone).detail
    expect(detail).not.toContain('Did you mean')
    expect(detail.length).toBeLessThan(120)
  })

  it('names every level at most a hundred times, and no refusal is lost among warnings', () => {
    const junk = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`Key${i}`, i]))
    const levels = checkCommand({ ...junk, RequestType: 'InstallProfile', Payload: 'x' }, iphone).map(({ level }) => level)
    expect(levels.filter((level) => level === 'warning')).toHaveLength(100)
    expect(levels.filter((level) => level === 'refusal')).toHaveLength(1)
  })
})

describe('values that hold themselves or never seem to end', () => {
  it('are not followed where anything may stand', () => {
    const loop: PlistDict = { RequestType: 'InstallApplication', Identifier: 'a.b' }
    loop['Configuration'] = loop
    expect(found(loop, iphone)).toEqual([])
  })

  it('are left at the first key nobody knows', () => {
    const deep: PlistDict = {}
    let inner = deep
    for (let i = 0; i < 100_000; i++) inner = inner['ReturnToService'] = {}
    expect(found({ RequestType: 'EraseDevice', ReturnToService: deep }, iphone)).toEqual([
      'refusal missing_key /ReturnToService/Enabled', 'warning unknown_key /ReturnToService/ReturnToService',
    ])
  })
})

it('lists the RequestTypes', () => {
  expect(commandTypes()).toHaveLength(68)
  expect(commandTypes()).toEqual(expect.arrayContaining(['EraseDevice', 'TriggerEnhancedLogCollection']))
})
