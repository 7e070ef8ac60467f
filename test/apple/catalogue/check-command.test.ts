import { describe, expect, it } from 'vitest'
import {
  checkCommand, commandTypes, type CommandFinding, type DeviceFacts,
} from '../../../src/apple/catalogue/check-command.ts'
import type { PlistDict } from '../../../src/apple/wire/plist.ts'
import { byod, found, iphone, ipad, mac, of, queries, setting, supervised } from './devices.ts'

const data = Buffer.from('x')

type Row = [story: string, command: PlistDict, device: DeviceFacts, finding: string]

describe('what can never work is refused', () => {
  it.each<Row>([
    ['a command nobody knows', of('MakeCoffee'), iphone, 'unknown_request_type /RequestType'],
    ['a command named like a property of every object', of('constructor'), iphone, 'unknown_request_type /RequestType'],
    ['a command without a name', {}, iphone, 'missing_key /RequestType'],
    ['a name that is no string', { RequestType: 7 }, iphone, 'wrong_type /RequestType'],
    ['a command of another platform', of('RotateFileVaultKey'), iphone, 'platform '],
    ['an OS that is too old', of('DeclarativeManagement'), { ...iphone, osVersion: '14.8.1' }, 'os_version '],
    ['an OS that no longer has it', of('OSUpdateStatus'), { ...supervised, osVersion: '27.0' }, 'os_version '],
    ['a device that is not supervised', of('RestartDevice'), iphone, 'supervision '],
    ['a Mac that was enrolled by hand', of('AccountConfiguration'), { ...mac, automatedEnrollment: false },
      'automated_enrollment '],
    ['Automated Device Enrollment of a Mac that is not supervised', of('AccountConfiguration'),
      { ...mac, supervised: false }, 'automated_enrollment '],
    ['a right that was not granted', of('DeviceLock'), { ...iphone, accessRights: 8191 - 4 }, 'access_right '],
    ['User Enrollment', of('EraseDevice'), byod, 'user_enrollment '],
    ['the device channel for a command to a user', of('NSExtensionMappings'), mac, 'channel '],
    ['the user channel for a command to the device', of('EraseDevice'), { ...mac, channel: 'user' }, 'channel '],
    ['a required key that is missing', of('InstallProfile'), iphone, 'missing_key /Payload'],
    ['none of the keys of which one is needed', of('EnableLostMode'), supervised, 'missing_key /Message'],
    ['a string for data', of('InstallProfile', { Payload: 'PD94' }), iphone, 'wrong_type /Payload'],
    ['a string for a boolean', of('ProfileList', { ManagedOnly: 'true' }), iphone, 'wrong_type /ManagedOnly'],
    ['a number among strings', of('DeviceInformation', { Queries: ['Model', 7] }), iphone, 'wrong_type /Queries/1'],
    ['a value Apple does not have', of('EraseDevice', { ObliterationBehavior: 'Maybe' }), mac,
      'wrong_value /ObliterationBehavior'],
    ['a missing key inside a dictionary', of('EraseDevice', { ReturnToService: {} }), iphone,
      'missing_key /ReturnToService/Enabled'],
  ])('%s', (_, command, device, finding) => {
    expect(found(command, device)).toEqual([`refusal ${finding}`])
  })
})

describe('what may work in part is a warning', () => {
  it.each<Row>([
    ['a key nobody knows', of('DeviceLock', { Mesage: 'Hi' }), iphone, 'unknown_key /Mesage'],
    ['a key that every object seems to know', of('DeviceLock', { toString: 'x' }), iphone, 'unknown_key /toString'],
    ['a key with a slash and a tilde', of('DeviceLock', { 'a/b~c': 1 }), iphone, 'unknown_key /a~1b~0c'],
    ['a key of another platform, whatever it holds', of('EraseDevice', { PIN: 123456 }), iphone, 'platform /PIN'],
    ['a key of a newer OS', of('EraseDevice', { ReturnToService: {} }), { ...iphone, osVersion: '16.7' },
      'os_version /ReturnToService'],
    ['a key that User Enrollment forbids',
      of('InstallApplication', { Identifier: 'a', ChangeManagementState: 'Managed' }), byod,
      'user_enrollment /ChangeManagementState'],
    ['a value Apple does not name', of('InstallApplication', { Identifier: 'a', ManagementFlags: 2 }), iphone,
      'wrong_value /ManagementFlags'],
    ['a query nobody knows', queries('OSVersion', 'ShoeSize'), iphone, 'wrong_value /Queries/1'],
    ['a query of another platform', queries('HostName'), iphone, 'platform /Queries/0'],
    ['a query of a newer OS', queries('TimeZone'), { ...iphone, osVersion: '13.7' }, 'os_version /Queries/0'],
    ['a query without its right', queries('Model', 'WiFiMAC'), { ...iphone, accessRights: 16 },
      'access_right /Queries/1'],
    ['a query that User Enrollment forbids', queries('SerialNumber'), byod, 'user_enrollment /Queries/0'],
    ['a query that needs supervision', queries('AccessibilitySettings'), iphone, 'supervision /Queries/0'],
    ['the removal of what may be the MDM profile', of('RemoveProfile', { Identifier: 'a' }),
      { ...iphone, accessRights: 1 }, 'access_right '],
    ['supervision that is not known', of('RestartDevice'), { ...iphone, supervised: null }, 'supervision '],
    ['Automated Device Enrollment that is not known', of('AccountConfiguration'), mac, 'automated_enrollment '],
    ['an iPad that may be shared', of('LogOutUser'), ipad, 'platform '],
  ])('%s', (_, command, device, finding) => {
    expect(found(command, device)).toEqual([`warning ${finding}`])
  })
})

describe('an item of Settings is refused that', () => {
  it.each<Row>([
    ['needs a right of its own', setting('DataRoaming', { Enabled: true }), { ...iphone, accessRights: 2048 },
      'access_right /Settings/0'],
    ['needs supervision', setting('Bluetooth', { Enabled: true }), iphone, 'supervision /Settings/0'],
    ['exists on other platforms only', setting('HostName', { HostName: 'x' }), iphone, 'platform /Settings/0'],
    ['User Enrollment forbids', setting('PersonalHotspot', { Enabled: true }), byod, 'user_enrollment /Settings/0'],
    ['nobody knows', setting('Volume'), iphone, 'wrong_value /Settings/0/Item'],
    ['is named like a property of every object', setting('valueOf'), iphone, 'wrong_value /Settings/0/Item'],
    ['says not what it is', of('Settings', { Settings: [{ Enabled: true }] }), iphone, 'missing_key /Settings/0/Item'],
    ['is named by a number', of('Settings', { Settings: [{ Item: 1 }] }), iphone, 'wrong_type /Settings/0/Item'],
    ['lacks a key', setting('VoiceRoaming'), iphone, 'missing_key /Settings/0/Enabled'],
    ['is for the device channel', setting('MDMOptions', { MDMOptions: {} }), { ...ipad, channel: 'user' },
      'channel /Settings/0'],
    ['is for the users of a Shared iPad', setting('DefaultApplications'),
      { ...ipad, osVersion: '18.2', sharedIpad: true }, 'channel /Settings/0'],
  ])('%s', (_, command, device, finding) => {
    expect(found(command, device)).toEqual([`refusal ${finding}`])
  })
})

describe('an iPhone that is not supervised', () => {
  it.each([
    'RestartDevice', 'ShutDownDevice', 'EnableLostMode', 'DisableLostMode', 'DeviceLocation', 'PlayLostModeSound',
    'ActivationLockBypassCode', 'ClearActivationLockBypassCode', 'ClearRestrictionsPassword', 'StopMirroring',
    'ScheduleOSUpdate', 'AvailableOSUpdates', 'OSUpdateStatus', 'DeviceConfigured',
  ])('is refused %s', (type) => {
    expect(found(of(type), iphone)).toContain('refusal supervision ')
  })

  it.each<PlistDict>([
    of('DeviceLock', { Message: 'Lost', PhoneNumber: '+1' }), of('EraseDevice', { PreserveDataPlan: true }),
    of('InstallProfile', { Payload: data }), of('RemoveProfile', { Identifier: 'a' }), of('ProfileList'),
    of('ClearPasscode', { UnlockToken: data }), of('SecurityInfo'), of('InstallApplication', { iTunesStoreID: 361 }),
    queries('DeviceName', 'OSVersion', 'SerialNumber', 'WiFiMAC'), setting('DataRoaming', { Enabled: true }),
  ])('is given $RequestType', (command) => {
    expect(found(command, iphone)).toEqual([])
  })
})

describe('a finding', () => {
  function only(command: PlistDict, device: DeviceFacts): CommandFinding {
    const [finding, ...others] = checkCommand(command, device)
    expect(others).toEqual([])
    return finding ?? expect.fail('nothing was found')
  }

  it('says what is missing', () => {
    expect(only(of('DeviceLock'), { ...iphone, accessRights: 3 })).toEqual({
      level: 'refusal', code: 'access_right', pointer: '', requires: 'access_right',
      detail: 'DeviceLock needs the access right "device lock and passcode removal" (4);'
        + ' only a new enrollment can add it.',
    })
    expect(only(of('EraseDevice'), byod).requires).toBe('device_enrollment')
    expect(only(of('EraseDevice'), { ...mac, channel: 'user' }).requires).toBe('device_channel')
    expect(only(of('ProfileList', { ManagedOnly: 1 }), iphone).requires).toBeUndefined()
  })

  it.each([
    ['RestartDevise', 'RestartDevice'], ['LockDevice', 'DeviceLock'], ['eraseDevice', 'EraseDevice'],
    ['ProfilesList', 'ProfileList'], ['InstallProfil', 'InstallProfile'], ['DEVICELOCK', 'DeviceLock'],
  ])('suggests for %s %s', (wrong, right) => {
    expect(only(of(wrong), iphone).detail).toBe(`Apple describes no command "${wrong}". Did you mean ${right}?`)
  })

  it('suggests nothing for a word that is like no other, and never repeats a long one', () => {
    expect(only(of('x'.repeat(10_000)), iphone).detail).toBe(`Apple describes no command "${'x'.repeat(64)}…".`)
  })

  it('of each level comes at most a hundred times, and no refusal is lost among warnings', () => {
    const junk = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`Key${i}`, i]))
    const command = { ...junk, ...of('InstallProfile', { Payload: 'x' }) }
    const levels = checkCommand(command, iphone).map(({ level }) => level)
    expect(levels.filter((level) => level === 'warning')).toHaveLength(100)
    expect(levels.filter((level) => level === 'refusal')).toHaveLength(1)
  })
})

describe('values without an end', () => {
  it('are not followed where anything may stand', () => {
    const loop = of('InstallApplication', { Identifier: 'a' })
    loop['Configuration'] = loop
    expect(found(loop, iphone)).toEqual([])
  })

  it('are left at the first key nobody knows', () => {
    const deep: PlistDict = {}
    let inner = deep
    for (let i = 0; i < 100_000; i++) inner = inner['ReturnToService'] = {}
    expect(found(of('EraseDevice', { ReturnToService: deep }), iphone)).toEqual([
      'refusal missing_key /ReturnToService/Enabled', 'warning unknown_key /ReturnToService/ReturnToService',
    ])
  })
})

it('lists the RequestTypes', () => {
  expect(commandTypes()).toHaveLength(68)
  expect(commandTypes()).toEqual(expect.arrayContaining(['EraseDevice', 'TriggerEnhancedLogCollection']))
})
