import { describe, expect, it } from 'vitest'
import { checkCommand, type CommandFinding, type DeviceFacts } from '../../../src/apple/catalogue/check-command.ts'
import type { PlistDict } from '../../../src/apple/wire/plist.ts'

const data = Buffer.from('x')
const iphone: DeviceFacts = {
  platform: 'ios', osVersion: '18.1', supervised: true, accessRights: 8191, channel: 'device', userEnrollment: false,
}

const of = (RequestType: string, keys: PlistDict = {}): PlistDict => ({ ...keys, RequestType })
const query = (name: string) => of('DeviceInformation', { Queries: [name] })
const app = { Identifier: 'com.example.app' }
const apps = { Identifiers: ['com.example.app'] }

/** Apple's thirteen AccessRights, and the commands a phone carries out only with them. */
const gated: [bit: number, level: CommandFinding['level'], commands: PlistDict[]][] = [
  [1, 'refusal', [of('ProfileList'), of('CertificateList')]],
  [2, 'refusal', [of('InstallProfile', { Payload: data })]],
  [2, 'warning', [of('RemoveProfile', { Identifier: 'com.example.profile' })]],
  [4, 'refusal', [
    of('DeviceLock'), of('ClearPasscode', { UnlockToken: data }), of('RestartDevice'),
    of('ShutDownDevice'),
  ]],
  [8, 'refusal', [of('EraseDevice')]],
  [16, 'warning', [query('DeviceName'), query('DeviceCapacity'), query('SerialNumber'), query('OSVersion')]],
  [32, 'warning', [query('PhoneNumber'), query('ICCID'), query('WiFiMAC'), query('BluetoothMAC')]],
  [64, 'refusal', [of('ProvisioningProfileList')]],
  [128, 'refusal', [
    of('InstallProvisioningProfile', { ProvisioningProfile: data }), of('RemoveProvisioningProfile', { UUID: 'x' }),
  ]],
  [256, 'refusal', [of('InstalledApplicationList')]],
  [512, 'refusal', [of('Restrictions')]],
  [1024, 'refusal', [of('SecurityInfo')]],
  [2048, 'refusal', [of('Settings', { Settings: [] })]],
  [4096, 'refusal', [
    of('InstallApplication', app), of('ManagedApplicationList'), of('RemoveApplication', app),
    of('ApplyRedemptionCode', { ...app, RedemptionCode: 'x' }), of('ValidateApplications'),
    of('ManagedApplicationConfiguration', apps), of('ManagedApplicationAttributes', apps),
    of('ManagedApplicationFeedback', apps), of('InstallMedia', { MediaType: 'Book' }),
    of('ManagedMediaList'), of('RemoveMedia', { MediaType: 'Book' }),
    of('InviteToProgram', { ProgramID: 'com.apple.cloudvpp', InvitationURL: 'https://example.com' }),
    of('AvailableOSUpdates'), of('ScheduleOSUpdate', { Updates: [] }), of('OSUpdateStatus'),
  ]],
]

describe.each(gated)('the right %i', (bit, level, commands) => {
  it.each(commands)('is all that $RequestType needs', (command) => {
    expect(checkCommand(command, { ...iphone, accessRights: bit })).toEqual([])
  })

  it.each(commands)('is what $RequestType cannot do without', (command) => {
    const findings = checkCommand(command, { ...iphone, accessRights: 8191 - bit })
    expect(findings).toMatchObject([{ level, code: 'access_right', requires: 'access_right' }])
    expect(findings[0]?.detail).toContain(`(${bit})`)
  })
})

describe('of the settings', () => {
  it.each([['DataRoaming', 32], ['VoiceRoaming', 32], ['PersonalHotspot', 32], ['Bluetooth', 32]])('%s needs %i too', (item, bit) => {
    const command = of('Settings', { Settings: [{ Item: item, Enabled: true }] })
    expect(checkCommand(command, { ...iphone, accessRights: 2048 })).toMatchObject([{ level: 'refusal', code: 'access_right' }])
    expect(checkCommand(command, { ...iphone, accessRights: 2048 + bit })).toEqual([])
  })

  it.each(['ApplicationConfiguration', 'ApplicationAttributes'])('%s needs 4096 too', (item) => {
    const command = of('Settings', { Settings: [{ Item: item, ...app }] })
    expect(checkCommand(command, { ...iphone, accessRights: 2048 })).toMatchObject([{ level: 'refusal', code: 'access_right' }])
    expect(checkCommand(command, { ...iphone, accessRights: 2048 + 4096 })).toEqual([])
  })
})

it.each<PlistDict>([
  of('EnableLostMode', { Message: 'Lost' }), of('DisableLostMode'), of('DeviceLocation'),
  of('PlayLostModeSound'), of('ActivationLockBypassCode'), of('ClearActivationLockBypassCode'),
  of('ClearRestrictionsPassword'), of('StopMirroring'), of('DeviceConfigured'),
  of('DeclarativeManagement'),
])('$RequestType needs no right', (command) => {
  expect(checkCommand(command, { ...iphone, accessRights: 0, automatedEnrollment: true })).toEqual([])
})

it('a Mac needs no right for its update commands', () => {
  const mac: DeviceFacts = { ...iphone, platform: 'macos', osVersion: '15.1', accessRights: 0 }
  expect(checkCommand(of('OSUpdateStatus'), mac)).toEqual([])
})
