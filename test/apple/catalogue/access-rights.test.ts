import { describe, expect, it } from 'vitest'
import { checkCommand, type CommandFinding } from '../../../src/apple/catalogue/check-command.ts'
import type { PlistDict } from '../../../src/apple/wire/plist.ts'
import { mac, of, queries, setting, supervised } from './devices.ts'

const data = Buffer.from('x')
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
  [16, 'warning', [queries('DeviceName'), queries('DeviceCapacity'), queries('SerialNumber'), queries('OSVersion')]],
  [32, 'warning', [queries('PhoneNumber'), queries('ICCID'), queries('WiFiMAC'), queries('BluetoothMAC')]],
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
    expect(checkCommand(command, { ...supervised, accessRights: bit })).toEqual([])
  })

  it.each(commands)('is what $RequestType cannot do without', (command) => {
    const findings = checkCommand(command, { ...supervised, accessRights: 8191 - bit })
    expect(findings).toMatchObject([{ level, code: 'access_right', requires: 'access_right' }])
    expect(findings[0]?.detail).toContain(`(${bit})`)
  })
})

it.each([
  ['DataRoaming', 32], ['VoiceRoaming', 32], ['PersonalHotspot', 32], ['Bluetooth', 32],
  ['ApplicationConfiguration', 4096], ['ApplicationAttributes', 4096],
])('the setting %s needs %i besides 2048', (item, bit) => {
  const command = setting(item, bit === 32 ? { Enabled: true } : app)
  const without = checkCommand(command, { ...supervised, accessRights: 8191 - bit })
  expect(without).toMatchObject([{ level: 'refusal', code: 'access_right', pointer: '/Settings/0' }])
  expect(checkCommand(command, { ...supervised, accessRights: 2048 + bit })).toEqual([])
  const alone = checkCommand(command, { ...supervised, accessRights: bit })
  expect(alone).toMatchObject([{ level: 'refusal', code: 'access_right', pointer: '' }])
})

it.each<PlistDict>([
  of('EnableLostMode', { Message: 'Lost' }), of('DisableLostMode'), of('DeviceLocation'),
  of('PlayLostModeSound'), of('ActivationLockBypassCode'), of('ClearActivationLockBypassCode'),
  of('ClearRestrictionsPassword'), of('StopMirroring'), of('DeviceConfigured'),
  of('DeclarativeManagement'),
])('$RequestType needs no right', (command) => {
  expect(checkCommand(command, { ...supervised, accessRights: 0, automatedEnrollment: true })).toEqual([])
})

it('a Mac needs no right for its update commands', () => {
  expect(checkCommand(of('OSUpdateStatus'), { ...mac, accessRights: 0 })).toEqual([])
})
