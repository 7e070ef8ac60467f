import { describe, expect, it } from 'vitest'
import { parseCheckin } from '../../src/apple/wire/checkin.ts'
import { decodePlist, plistDict } from '../../src/apple/wire/plist.ts'
import { parseReport } from '../../src/apple/wire/report.ts'
import type { DeviceMemory } from '../../src/simulator/device-memory.ts'
import {
  authenticateMessage, checkOutMessage, getBootstrapTokenMessage, idleMessage, reportMessage, setBootstrapTokenMessage,
  tokenUpdateMessage, userAuthenticateMessage, userTokenUpdateMessage,
} from '../../src/simulator/messages.ts'
import { modelsOf, type DeviceModel } from '../../src/simulator/models.ts'
import { sample } from '../apple/wire/samples.ts'
import type { Answer } from '../../src/simulator/answer.ts'
import { ask, phone, userOf } from './phone.ts'

const keys = (body: Uint8Array) => Object.keys(plistDict(decodePlist(body)))
const sampleKeys = (file: string) => keys(sample('valid', file))
const authenticate = (memory = phone()) => authenticateMessage(memory)
const report = (answer: Answer) => reportMessage(phone(), 'A-1', answer)
const tokenUpdate = (unlockToken: boolean) => (
  tokenUpdateMessage(phone(), { unlockToken })
)

const NETWORK_USER = { id: '16C0477E-EB2F-4B5E-AAFD-92B2B91C4B16', shortName: 'net1', longName: 'Net One', network: true }
const mac = () => phone({ model: modelsOf('mac')[0] as DeviceModel })
const sharedIpad = () => phone({ model: modelsOf('ipad')[0] as DeviceModel, sharedIpad: true })
const withUser = (memory: DeviceMemory) => [memory, userOf(memory)] as const
const userIdle = (memory: DeviceMemory) => idleMessage(memory, userOf(memory).user)
const userReport = (memory: DeviceMemory, answer: Answer) => reportMessage(memory, 'A-1', answer, userOf(memory).user)

// In the very order of the samples too: devices write the keys of a dict by the alphabet.
describe('messages have the keys of the samples', () => {
  it.each([
    ['01-authenticate-ios.plist', () => authenticate()],
    ['05-tokenupdate-ios-later.plist', () => tokenUpdate(false)],
    ['11-checkout.plist', () => checkOutMessage(phone())],
    ['40-idle-ios.plist', () => idleMessage(phone())],
    ['44-ack-plain.plist', () => report({ status: 'Acknowledged' })],
    ['45-ack-deviceinformation.plist', () => report(ask(phone(), 'DeviceInformation'))],
    ['49-ack-settings-partial-failure.plist', () => report(ask(phone(), 'Settings', { Settings: [] }))],
    ['47-ack-installapplication.plist', () => report(ask(phone(), 'InstallApplication', { Identifier: 'a.b' }))],
    ['50-error-chain.plist', () => report(ask(phone(), 'RestartDevice'))],
    ['51-commandformaterror.plist', () => report(ask(phone(), 'Frobnicate'))],
    ['52-notnow.plist', () => report({ status: 'NotNow' })],
  ])('%s', (file, message) => {
    expect(keys(message())).toEqual(sampleKeys(file))
  })

  it('48-ack-devicelocation.plist', () => {
    const memory = phone({ supervised: true })
    ask(memory, 'EnableLostMode', { Message: 'x' })
    expect(keys(reportMessage(memory, 'A-1', ask(memory, 'DeviceLocation'))))
      .toEqual(sampleKeys('48-ack-devicelocation.plist'))
  })

  it.each([
    ['02-authenticate-macos.plist', () => authenticateMessage(mac())],
    ['12-userauthenticate-1.plist', () => userAuthenticateMessage(mac(), NETWORK_USER)],
    ['14-setbootstraptoken.plist', () => setBootstrapTokenMessage(mac(), Buffer.alloc(64))],
    ['15-setbootstraptoken-remove.plist', () => setBootstrapTokenMessage(mac(), undefined)],
    ['16-getbootstraptoken.plist', () => getBootstrapTokenMessage(mac())],
    ['07-tokenupdate-macos-user.plist', () => userTokenUpdateMessage(...withUser(mac()))],
    ['42-idle-shared-ipad-user.plist', () => userIdle(sharedIpad())],
    ['46-ack-securityinfo-macos.plist', () => report(ask(mac(), 'SecurityInfo'))],
    ['53-notnow-macos-user.plist', () => userReport(mac(), { status: 'NotNow' })],
  ])('%s', (file, message) => {
    expect(keys(message())).toEqual(sampleKeys(file))
  })

  // An AuthToken is what a network user has after a digest.
  it('41-idle-macos-user-authtoken.plist', () => {
    expect(['AuthToken', ...keys(userIdle(mac()))]).toEqual(sampleKeys('41-idle-macos-user-authtoken.plist'))
  })

  it('06-tokenupdate-macos-device.plist, 08-tokenupdate-shared-ipad-user.plist', () => {
    const device = phone({ model: modelsOf('mac')[0] as DeviceModel, awaitingConfiguration: false })
    expect(keys(tokenUpdateMessage(device, { unlockToken: true }))).toEqual(sampleKeys('06-tokenupdate-macos-device.plist'))
    const [pad, kim] = withUser(sharedIpad())
    kim.awaitingConfiguration = true
    expect(keys(userTokenUpdateMessage(pad, kim))).toEqual(sampleKeys('08-tokenupdate-shared-ipad-user.plist'))
  })

  it('04-tokenupdate-ios-awaiting.plist', () => {
    expect(keys(tokenUpdateMessage(phone({ awaitingConfiguration: true }), { unlockToken: true })))
      .toEqual(sampleKeys('04-tokenupdate-ios-awaiting.plist'))
    expect(keys(tokenUpdate(true))).not.toContain('AwaitingConfiguration')
  })
})

describe('messages', () => {
  it('are what the server’s readers expect', () => {
    const { hardware } = phone()
    const channel = { deviceKey: hardware.udid }
    expect(parseCheckin(authenticate())).toMatchObject({ SerialNumber: 'DMQVGC0DHLF0', channel })
    expect(parseCheckin(tokenUpdate(true)))
      .toMatchObject({ MessageType: 'TokenUpdate', UnlockToken: expect.any(Buffer) })
    expect(parseReport(idleMessage(phone()))).toMatchObject({ status: 'Idle', channel: { deviceKey: hardware.udid } })
  })

  it('of users are read as theirs, by the key that tells them apart', () => {
    const [pad, onPad] = withUser(sharedIpad())
    const [laptop, onMac] = withUser(mac())
    expect(parseReport(idleMessage(pad, onPad.user)).channel)
      .toMatchObject({ channel: 'user', userKey: 'kim.berger@appleid.example.edu', userLongName: 'Kim Berger' })
    expect(parseReport(idleMessage(laptop, onMac.user)).channel).toMatchObject({ channel: 'user', userKey: onMac.user.id })
    expect(parseCheckin(checkOutMessage(laptop, onMac.user)).channel).toMatchObject({ userKey: onMac.user.id })
    expect(parseCheckin(checkOutMessage(laptop)).channel).toMatchObject({ channel: 'device', userKey: '' })
  })

  it('bring no UnlockToken from what has none to give', () => {
    for (const device of [mac(), sharedIpad(), phone({ model: modelsOf('appletv')[0] as DeviceModel })]) {
      expect(device.enrollment.unlockToken).toBeUndefined()
    }
  })

  it('keep to themselves what the rights do not cover', () => {
    expect(keys(authenticate(phone({ accessRights: 8191 & ~16 })))).toEqual(['MessageType', 'Topic', 'UDID'])
    expect(phone({ accessRights: 8191 & ~4 }).enrollment.unlockToken).toBeUndefined()
    expect(phone().enrollment.unlockToken).toHaveLength(1_024)
  })
})
