import { describe, expect, it } from 'vitest'
import { parseCheckin } from '../../src/apple/wire/checkin.ts'
import { decodePlist, plistDict } from '../../src/apple/wire/plist.ts'
import { parseReport } from '../../src/apple/wire/report.ts'
import {
  authenticateMessage, checkOutMessage, idleMessage, reportMessage, tokenUpdateMessage,
} from '../../src/simulator/messages.ts'
import { sample } from '../apple/wire/samples.ts'
import type { Answer } from '../../src/simulator/answer.ts'
import { ask, phone } from './phone.ts'

const keys = (body: Uint8Array) => Object.keys(plistDict(decodePlist(body)))
const sampleKeys = (file: string) => keys(sample('valid', file))
const authenticate = (memory = phone()) => authenticateMessage(memory.hardware, memory.enrollment.profile)
const report = (answer: Answer) => reportMessage(phone(), 'A-1', answer)
const tokenUpdate = (unlockToken: boolean) => (
  tokenUpdateMessage(phone().hardware.udid, phone().enrollment, { unlockToken })
)

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

  // AwaitingConfiguration is said in Setup Assistant only, where no device of ours comes from.
  it('04-tokenupdate-ios-awaiting.plist', () => {
    expect(['AwaitingConfiguration', ...keys(tokenUpdate(true))])
      .toEqual(sampleKeys('04-tokenupdate-ios-awaiting.plist'))
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

  it('keep to themselves what the rights do not cover', () => {
    expect(keys(authenticate(phone({ accessRights: 8191 & ~16 })))).toEqual(['MessageType', 'Topic', 'UDID'])
    expect(phone({ accessRights: 8191 & ~4 }).enrollment.unlockToken).toBeUndefined()
    expect(phone().enrollment.unlockToken).toHaveLength(1_024)
  })
})
