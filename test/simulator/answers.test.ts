import { describe, expect, it } from 'vitest'
import { commands, rights } from '../../src/apple/catalogue/catalogue.ts'
import { PlistReal } from '../../src/apple/wire/plist-writer.ts'
import { parseReport } from '../../src/apple/wire/report.ts'
import { ask, codesOf, ENROLLMENT, NOW, phone } from './phone.ts'
import { SKILLS } from '../../src/simulator/answers.ts'
import { reportMessage } from '../../src/simulator/messages.ts'
import { modelsOf, type DeviceModel } from '../../src/simulator/models.ts'

const onIos = (name: string) => commands.get(name)?.on['iOS']
const PHONE_SKILLS = Object.keys(SKILLS).filter((name) => onIos(name)?.sharedIpad !== 'required')
const SUPERVISED = PHONE_SKILLS.filter((name) => onIos(name)?.supervised)
const RIGHTS = PHONE_SKILLS.flatMap((name) => {
  const right = rights[onIos(name)?.right ?? '']
  return right ? [[name, right.bit] as const] : []
})

const supervised = () => phone({ supervised: true })
const queries = (memory: ReturnType<typeof phone>, ...names: string[]) => (
  ask(memory, 'DeviceInformation', { Queries: names }).fields?.['QueryResponses']
)

describe('any command', () => {
  it('that the device does not know is a CommandFormatError with Apple’s code', () => {
    const answer = ask(phone(), 'Frobnicate')
    expect(answer.status).toBe('CommandFormatError')
    expect(answer.errorChain?.[0])
      .toMatchObject({ ErrorCode: 12021, LocalizedDescription: '“Frobnicate” is not a valid request type.' })
  })

  it('named like something every object has is unknown too', () => {
    expect(ask(phone(), 'constructor').status).toBe('CommandFormatError')
  })

  it('is one that Apple describes', () => {
    expect(Object.keys(SKILLS).filter((name) => !commands.has(name))).toEqual([])
    expect([SUPERVISED.length, RIGHTS.length]).toEqual([14, 19])
  })

  it.each(SUPERVISED)('%s needs supervision', (name) => {
    const answer = ask(phone(), name)
    expect([answer.status, codesOf(answer)]).toEqual(['Error', [12021]])
  })

  it.each(RIGHTS)('%s needs right %i', (name, right) => {
    // Rights 2 and 128 cannot be had without 1 and 64.
    const accessRights = 8191 & ~right & ~(right === 1 ? 2 : 0) & ~(right === 64 ? 128 : 0)
    const answer = ask(phone({ supervised: true, accessRights }), name)
    expect([answer.status, codesOf(answer)]).toEqual(['Error', [12007]])
  })

  it.each(PHONE_SKILLS)('%s has an answer that a server can read', (name) => {
    const memory = supervised()
    const report = parseReport(reportMessage(memory, 'A-1', ask(memory, name)))
    expect(report).toMatchObject({ commandUuid: 'A-1', channel: { deviceKey: memory.hardware.udid } })
    expect(report.errorChain.length > 0).toBe(report.status !== 'Acknowledged')
  })
})

describe('DeviceInformation', () => {
  it('answers exactly what was asked', () => {
    expect(queries(phone(), 'ProductName', 'OSVersion', 'Nonsense'))
      .toEqual({ OSVersion: '18.1', ProductName: 'iPhone17,3' })
  })

  it('tells everything when nothing was named', () => {
    const { fields } = ask(phone(), 'DeviceInformation')
    expect(fields?.['QueryResponses'])
      .toMatchObject({ SerialNumber: 'DMQVGC0DHLF0', IsSupervised: false, PhoneNumber: expect.any(String) })
  })

  it('leaves out what the enrollment has no right to', () => {
    expect(queries(phone({ accessRights: 16 }), 'SerialNumber', 'WiFiMAC', 'UDID'))
      .toEqual({ SerialNumber: 'DMQVGC0DHLF0', UDID: phone().hardware.udid })
    expect(queries(phone({ accessRights: 32 }), 'SerialNumber', 'WiFiMAC'))
      .toEqual({ WiFiMAC: phone().hardware.wifiMac })
  })

  it('gives capacities and the battery as reals, also when they are whole', () => {
    const memory = phone()
    memory.state.batteryLevel = 1
    expect(queries(memory, 'BatteryLevel', 'DeviceCapacity'))
      .toEqual({ BatteryLevel: new PlistReal(1), DeviceCapacity: new PlistReal(128) })
  })

  it('has no phone number on an iPad', () => {
    const ipad = phone({ model: modelsOf('ipad')[0] as DeviceModel })
    expect(queries(ipad, 'PhoneNumber', 'IMEI', 'ModelName')).toEqual({ ModelName: 'iPad' })
  })
})

describe('the lock', () => {
  it('shows message and number, and says so', () => {
    const memory = phone()
    expect(ask(memory, 'DeviceLock', { Message: 'Call us', PhoneNumber: '123' }).fields)
      .toEqual({ MessageResult: 'Success' })
    expect(memory.state.lockScreen).toEqual({ message: 'Call us', phoneNumber: '123' })
  })

  it('says nothing of a message when there was none', () => {
    expect(ask(phone(), 'DeviceLock')).toEqual({ status: 'Acknowledged' })
  })

  it('cannot show a message without a passcode, nor in Lost Mode', () => {
    expect(ask(phone({ passcodePresent: false }), 'DeviceLock', { Message: 'x' }).fields)
      .toEqual({ MessageResult: 'NoPasscodeSet' })
    const lost = supervised()
    ask(lost, 'EnableLostMode', { Message: 'Lost' })
    expect(ask(lost, 'DeviceLock', { Message: 'x' }).fields).toEqual({ MessageResult: 'DeviceInLostMode' })
  })

  it('gives up the passcode for its own UnlockToken only', () => {
    const memory = phone()
    expect(codesOf(ask(memory, 'ClearPasscode', { UnlockToken: Buffer.from('another') }))).toEqual([5013])
    expect(codesOf(ask(memory, 'ClearPasscode'))).toEqual([5013])
    expect(memory.state.passcodePresent).toBe(true)
    expect(ask(memory, 'ClearPasscode', { UnlockToken: memory.enrollment.unlockToken }).status).toBe('Acknowledged')
    expect(ask(memory, 'SecurityInfo').fields?.['SecurityInfo']).toMatchObject({ PasscodePresent: false })
  })
})

describe('Lost Mode', () => {
  it('needs something to show', () => {
    expect(codesOf(ask(supervised(), 'EnableLostMode', { Footnote: 'x' }))).toEqual([12066])
  })

  it('tells the place, as reals and a date, only while it is on', () => {
    const memory = supervised()
    expect(codesOf(ask(memory, 'DeviceLocation'))).toEqual([12067])
    ask(memory, 'EnableLostMode', { PhoneNumber: '123' })
    expect(ask(memory, 'DeviceLocation').fields).toMatchObject({ Timestamp: NOW, VerticalAccuracy: new PlistReal(4) })
    expect(queries(memory, 'IsMDMLostModeEnabled')).toEqual({ IsMDMLostModeEnabled: true })
    ask(memory, 'DisableLostMode')
    expect(codesOf(ask(memory, 'PlayLostModeSound'))).toEqual([12067])
  })
})

describe('what ends a device', () => {
  it('follows the report: erasing, leaving, switching off', () => {
    expect(ask(phone(), 'EraseDevice').consequence).toEqual({ kind: 'erase' })
    expect(ask(phone(), 'RemoveProfile', { Identifier: ENROLLMENT }).consequence).toEqual({ kind: 'unenroll' })
    expect(ask(supervised(), 'ShutDownDevice').consequence).toEqual({ kind: 'power_off' })
  })

  it('is leaving, without any right', () => {
    expect(ask(phone({ accessRights: 16 }), 'RemoveProfile', { Identifier: ENROLLMENT }).status).toBe('Acknowledged')
    expect(ask(phone({ accessRights: 16 }), 'RemoveProfile', { Identifier: 'other' }).status).toBe('Error')
  })
})
