import { describe, expect, it } from 'vitest'
import { checkCommand, type DeviceFacts } from '../../../src/apple/catalogue/check-command.ts'
import { byod, found, iphone, ipad, mac, of, setting, supervised } from './devices.ts'

describe('User Enrollment', () => {
  it.each(['EraseDevice', 'ClearPasscode', 'Restrictions', 'RestartDevice', 'EnableLostMode'])('forbids %s', (type) => {
    expect(found(of(type), byod)).toContain('refusal user_enrollment ')
  })

  it('asks for no rights', () => {
    expect(found(of('DeviceLock'), { ...byod, accessRights: 0 })).toEqual([])
  })

  it('is no Automated Device Enrollment', () => {
    const findings = found(of('AccountConfiguration'), { ...mac, userEnrollment: true })
    expect(findings).toEqual(['refusal automated_enrollment ', 'refusal user_enrollment '])
  })
})

describe('what is not known', () => {
  it.each([null, 'audioos'])('of the platform (%j) refuses nothing', (platform) => {
    expect(found(of('RestartDevice'), { ...iphone, platform })).toEqual([])
    expect(found(setting('HostName', { HostName: 'x' }), { ...iphone, platform })).toEqual([])
  })

  it.each([null, '', 'beta'])('of the version (%j) refuses nothing', (osVersion) => {
    expect(found(of('CancelEnhancedLogCollection'), { ...supervised, osVersion })).toEqual([])
    expect(found(of('OSUpdateStatus'), { ...supervised, osVersion })).toEqual([])
  })

  it('of the rights refuses nothing', () => {
    expect(found(of('DeviceLock'), { ...iphone, accessRights: null })).toEqual([])
  })

  it.each(['ios', 'ipados', 'tvos'])('of supervision is a warning on %s', (platform) => {
    expect(found(of('RestartDevice'), { ...iphone, platform, supervised: null })).toEqual(['warning supervision '])
  })

  it('of supervision is no matter on a Mac', () => {
    expect(found(of('EnableRemoteDesktop'), { ...mac, supervised: null })).toEqual([])
    expect(found(of('EnableRemoteDesktop'), { ...mac, supervised: false })).toEqual(['refusal supervision '])
  })
})

describe('versions', () => {
  it.each([['10.15', 1], ['10.15.4', 0], ['10.15.10', 0], ['9.9.9', 1]])('%s has %i objections', (osVersion, count) => {
    expect(found(of('ContentCachingInformation'), { ...mac, osVersion })).toHaveLength(count)
  })

  it('end with the one that removed the command', () => {
    expect(found(of('OSUpdateStatus'), { ...supervised, osVersion: '26.4' })).toEqual([])
    expect(found(of('OSUpdateStatus'), { ...supervised, osVersion: '27.1' })).toEqual(['refusal os_version '])
  })

  it('of iPadOS are read in the entries of iOS and called by their name', () => {
    const [finding] = checkCommand(of('DeclarativeManagement'), { ...ipad, osVersion: '14.0' })
    expect(finding?.detail).toBe('DeclarativeManagement needs iPadOS 15.0 or newer, and this device has 14.0.')
  })
})

describe('a Shared iPad', () => {
  it.each<[DeviceFacts, string[]]>([
    [iphone, ['refusal platform ']],
    [{ ...ipad, sharedIpad: true }, []],
    [{ ...ipad, sharedIpad: false }, ['refusal platform ']],
    [{ ...ipad, channel: 'user' }, ['refusal channel ']],
  ])('is asked for by LogOutUser: %j', (device, expected) => {
    expect(found(of('LogOutUser'), device)).toEqual(expected)
  })

  it('alone misses what is forbidden or ignored there', () => {
    const shared = { ...ipad, sharedIpad: true }
    expect(found(of('ClearRestrictionsPassword'), ipad)).toEqual([])
    expect(found(of('ClearRestrictionsPassword'), shared)).toEqual(['refusal platform '])
    expect(found(of('DeviceLock', { Message: 'x' }), ipad)).toEqual([])
    expect(found(of('DeviceLock', { Message: 'x' }), shared)).toEqual(['warning platform /Message'])
  })

  it('alone has a user channel', () => {
    expect(found(of('ProfileList'), { ...ipad, channel: 'user' })).toEqual([])
    expect(found(of('SecurityInfo'), { ...ipad, channel: 'user' })).toEqual(['refusal channel '])
  })
})

it('a part of an item that the platform lacks is a warning, the item is not', () => {
  const command = setting('SharedDeviceConfiguration', { TemporarySessionTimeout: 60, QuotaSize: 1 })
  const vision = { ...supervised, platform: 'visionos', osVersion: '26.0' }
  expect(found(command, vision)).toEqual(['warning platform /Settings/0/QuotaSize'])
  expect(found(command, { ...vision, osVersion: '2.4' })).toEqual(['refusal os_version /Settings/0'])
})
