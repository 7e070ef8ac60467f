import { describe, expect, it } from 'vitest'
import { commands } from '../../src/apple/catalogue/catalogue.ts'
import { SKILLS } from '../../src/simulator/answers.ts'
import { putsOff } from '../../src/simulator/behaviour.ts'
import type { DeviceMemory, UserChannel } from '../../src/simulator/device-memory.ts'
import { modelsOf, type DeviceModel, type Platform } from '../../src/simulator/models.ts'
import { managedAccount } from '../../src/simulator/people.ts'
import { ask, codesOf, configuration, ENROLLMENT, phone, userOf } from './phone.ts'

const of = (platform: Platform, o: { sharedIpad?: boolean; supervised?: boolean } = {}) => (
  phone({ model: modelsOf(platform)[0] as DeviceModel, ...o })
)
const sharedIpad = () => of('ipad', { sharedIpad: true })
const told = (memory: DeviceMemory, user?: UserChannel) => (
  ask(memory, 'DeviceInformation', {}, user).fields?.['QueryResponses'] as Record<string, unknown>
)
const refused = (memory: DeviceMemory, type: string, user?: UserChannel) => {
  const answer = ask(memory, type, {}, user)
  return [answer.status, codesOf(answer)]
}
const UNKNOWN = ['Error', [12021]]

describe('a command that a platform does not have', () => {
  const missing = (entry: string) => Object.keys(SKILLS).filter((name) => !commands.get(name)?.on[entry])

  it.each(missing('tvOS'))('on an Apple TV: %s', (name) => expect(refused(of('appletv'), name)).toEqual(UNKNOWN))
  it.each(missing('macOS'))('on a Mac: %s', (name) => expect(refused(of('mac'), name)).toEqual(UNKNOWN))
  it.each(['ClearPasscode', 'ActivationLockBypassCode'])('on a Shared iPad: %s', (name) => {
    expect(refused(sharedIpad(), name)).toEqual(UNKNOWN)
  })
  it.each(['UserList', 'LogOutUser', 'DeleteUser'])('on an iPad with one user: %s', (name) => {
    expect(refused(of('ipad', { supervised: true }), name)).toEqual(UNKNOWN)
  })
  it('is some command for each of them', () => {
    expect([missing('tvOS').length, missing('macOS').length]).toEqual([15, 9])
  })
})

describe('a command on the wrong channel', () => {
  it.each(['EraseDevice', 'DeviceLock', 'UserList'])('of a user of a Mac: %s', (name) => {
    const mac = of('mac')
    expect(refused(mac, name, userOf(mac))).toEqual(UNKNOWN)
  })
  it.each(['SecurityInfo', 'CertificateList', 'EraseDevice'])('of a user of a Shared iPad: %s', (name) => {
    const pad = sharedIpad()
    expect(refused(pad, name, userOf(pad))).toEqual(UNKNOWN)
  })
})

describe('what a device tells about itself', () => {
  it('is on a Mac no modem, no Lost Mode and no time zone, but its chip and its users', () => {
    const mac = of('mac')
    const { user } = userOf(mac)
    const facts = told(mac)
    expect(facts).toMatchObject({
      UDID: mac.hardware.udid, ProvisioningUDID: mac.hardware.provisioningUdid, ProductName: 'Mac15,3', ModelName: 'MacBook Pro',
      IsAppleSilicon: true, HasBattery: true, IsSupervised: true, ActiveManagedUsers: [user.id], HostName: 'MacBook-Pro.local',
    })
    for (const key of ['IMEI', 'PhoneNumber', 'CellularTechnology', 'IsMDMLostModeEnabled', 'TimeZone', 'IsMultiUser', 'DeviceID', 'QuotaSize']) {
      expect(facts).not.toHaveProperty(key)
    }
  })

  it('is on an Apple TV neither battery nor capacity', () => {
    const facts = told(of('appletv'))
    expect(facts).toMatchObject({ ProductName: 'AppleTV14,1', DeviceID: expect.any(String), TimeZone: 'Europe/Berlin', IsSupervised: false })
    for (const key of ['BatteryLevel', 'DeviceCapacity', 'AvailableDeviceCapacity', 'EthernetMAC', 'IsActivationLockEnabled', 'PushToken', 'IMEI']) {
      expect(facts).not.toHaveProperty(key)
    }
  })

  it('is on a Shared iPad that it has many users, and on no other iPad how many', () => {
    const pad = sharedIpad()
    userOf(pad)
    expect(told(pad)).toMatchObject({ IsMultiUser: true, ResidentUsers: 1, MaximumResidentUsers: 8, IsSupervised: true })
    expect(told(of('ipad', { supervised: true }))).toMatchObject({ IsMultiUser: false })
    expect(told(of('ipad', { supervised: true }))).not.toHaveProperty('ResidentUsers')
  })

  it('is on a phone nothing that only a Mac has', () => {
    for (const key of ['IsAppleSilicon', 'HasBattery', 'HostName', 'EthernetMAC', 'ProvisioningUDID', 'ResidentUsers']) {
      expect(told(of('iphone'))).not.toHaveProperty(key)
    }
  })

  it('is on each channel the push token of that channel', () => {
    const mac = of('mac')
    const user = userOf(mac)
    expect([told(mac)['PushToken'], told(mac, user)['PushToken']]).toEqual([mac.enrollment.pushToken, user.pushToken])
    expect(told(mac, user)).not.toHaveProperty('ActiveManagedUsers')
  })

  it('is of the security of a Mac its disk, and to a user only the management', () => {
    const mac = of('mac')
    const security = (user?: UserChannel) => ask(mac, 'SecurityInfo', {}, user).fields?.['SecurityInfo'] as object
    expect(security()).toMatchObject({ FDE_Enabled: true, BootstrapTokenAllowedForAuthentication: 'not supported' })
    expect(security()).not.toHaveProperty('PasscodePresent')
    expect(Object.keys(security(userOf(mac)))).toEqual(['ManagementStatus'])
    mac.enrollment.bootstrapToken = Buffer.alloc(64)
    expect(security()).toMatchObject({ BootstrapTokenAllowedForAuthentication: 'allowed' })
  })
})

describe('what Apple asks of one platform only', () => {
  it('is not asked of the others: a Mac restarts and is named without supervision', () => {
    const mac = of('mac', { supervised: false })
    expect(ask(mac, 'RestartDevice').status).toBe('Acknowledged')
    ask(mac, 'Settings', { Settings: [{ Item: 'DeviceName', DeviceName: 'Reception' }] })
    expect(mac.state.deviceName).toBe('Reception')
    expect(refused(of('appletv'), 'RestartDevice')).toEqual(UNKNOWN)
    expect(ask(of('appletv', { supervised: true }), 'RestartDevice').status).toBe('Acknowledged')
  })

  it('is a setting unknown elsewhere', () => {
    const items = [{ Item: 'TimeZone', TimeZone: 'Europe/Paris' }, { Item: 'Wallpaper', Image: Buffer.alloc(1), Where: 1 }]
    expect(ask(of('mac'), 'Settings', { Settings: items }).fields?.['Settings']).toMatchObject([
      { Item: 'TimeZone', Status: 'Error', ErrorChain: [{ ErrorCode: 28000 }] }, { Item: 'Wallpaper', Status: 'Error' },
    ])
  })

  it('is what a Mac never puts off', () => {
    expect(['DeviceLock', 'ProfileList', 'RestartDevice'].map((type) => putsOff({ notNow: 1 }, type, 'mac'))).toEqual([false, true, false])
    expect(['DeviceLock', 'ProfileList', 'RestartDevice'].map((type) => putsOff({ notNow: 1 }, type, 'ipad'))).toEqual([false, false, true])
  })
})

describe('the users of a device', () => {
  it('have profiles of their own', () => {
    const mac = of('mac')
    const [ada, kim] = [userOf(mac), userOf(mac, { id: 'B', shortName: 'kim', longName: 'Kim' })]
    ask(mac, 'InstallProfile', { Payload: configuration('com.example.mail') }, ada)
    const list = (user?: UserChannel) => ask(mac, 'ProfileList', {}, user).fields?.['ProfileList']
    expect(list(ada)).toMatchObject([{ PayloadIdentifier: 'com.example.mail' }])
    expect(list(kim)).toEqual([])
    expect(list()).toMatchObject([{ PayloadIdentifier: ENROLLMENT }])
    expect(codesOf(ask(mac, 'RemoveProfile', { Identifier: 'com.example.mail' }))).toEqual([12075, 4024])
    expect(codesOf(ask(mac, 'RemoveProfile', { Identifier: ENROLLMENT }, ada))).toEqual([12075, 4024])
    expect(ask(mac, 'RemoveProfile', { Identifier: 'com.example.mail' }, ada).status).toBe('Acknowledged')
  })

  it('cannot change the management of the device', () => {
    const mac = of('mac')
    const answer = ask(mac, 'InstallProfile', { Payload: mac.enrollment.profileXml }, userOf(mac))
    expect([answer.status, answer.consequence]).toEqual(['Error', undefined])
  })

  it('are listed, logged out and deleted on a Shared iPad', () => {
    const pad = sharedIpad()
    const [kim, noor] = [userOf(pad), userOf(pad, managedAccount('Noor', 'Haddad'))]
    noor.loggedIn = false
    expect(ask(pad, 'UserList').fields?.['Users']).toMatchObject([{ UserName: kim.user.shortName, IsLoggedIn: true }, { IsLoggedIn: false }])
    expect(ask(pad, 'LogOutUser').consequence).toEqual({ kind: 'log_out' })
    expect(codesOf(ask(pad, 'DeleteUser', { UserName: kim.user.shortName }))).toEqual([12074])
    expect(codesOf(ask(pad, 'DeleteUser', { UserName: 'nobody' }))).toEqual([12071])
    expect(ask(pad, 'DeleteUser', { UserName: noor.user.shortName }).status).toBe('Acknowledged')
    expect(pad.enrollment.users).toEqual([kim])
    kim.loggedIn = false
    expect(codesOf(ask(pad, 'LogOutUser'))).toEqual([12072])
    expect(ask(pad, 'DeleteUser', { DeleteAllUsers: true }).status).toBe('Acknowledged')
    expect(pad.enrollment.users).toEqual([])
  })
})
