import { describe, expect, it } from 'vitest'
import { encodePlist, type EncodableDict } from '../../../src/apple/wire/plist-writer.ts'
import { parseReport } from '../../../src/apple/wire/report.ts'
import { reasonOf } from './reason-of.ts'
import { sample } from './samples.ts'

const UDID = '00008120-001A2D3C4E5F601E'
const device = { deviceKey: UDID, deviceKeyKind: 'udid', channel: 'device', userKey: '' }

describe('Idle', () => {
  it('says only who is there', () => {
    expect(parseReport(sample('valid', '40-idle-ios.plist')))
      .toEqual({ status: 'Idle', channel: device, errorChain: [], fields: {} })
  })

  it('keeps what names a user, and the token of a user, out of the answer', () => {
    const idle = parseReport(sample('valid', '41-idle-macos-user-authtoken.plist'))
    expect(idle.channel).toMatchObject({ channel: 'user', userKey: '5A3C9E10-7F21-4B8D-A6C5-0D9E8F7A6B5C' })
    expect(idle.fields).toEqual({})
  })

  const channels: [string, object][] = [
    ['42-idle-shared-ipad-user', { channel: 'user', userKey: 'grace.hopper@appleid.example.edu' }],
    ['43-idle-user-enrollment', { channel: 'device', deviceKeyKind: 'enrollment_id' }],
  ]
  for (const [file, channel] of channels) {
    it(`of ${file} comes from its channel`, () => {
      expect(parseReport(sample('valid', `${file}.plist`)).channel).toMatchObject(channel)
    })
  }

  it('names no command, whatever it says', () => {
    expect(parseReport(report('Idle', { CommandUUID: 7 }))).not.toHaveProperty('commandUuid')
  })
})

describe('an answer', () => {
  it('belongs to the command it names', () => {
    expect(parseReport(sample('valid', '44-ack-plain.plist'))).toEqual({
      status: 'Acknowledged', commandUuid: '0C000001-5B1D-4E8A-9D2F-6A7B8C9D0E1F', channel: device, errorChain: [],
      fields: {},
    })
  })

  it('keeps what the device told, with the markup in its name', () => {
    const { fields } = parseReport(sample('valid', '45-ack-deviceinformation.plist'))
    expect(Object.keys(fields)).toEqual(['QueryResponses'])
    expect(fields['QueryResponses']).toMatchObject({
      DeviceName: 'iPhone <Lab> & co', BatteryLevel: 0.8700000047683716, IsSupervised: true, UDID,
    })
  })

  it('keeps keys that are not known yet', () => {
    expect(parseReport(sample('valid', '55-ack-unknown-extra-keys.plist')).fields).toEqual({
      RequestType: 'RestartDevice', SomethingNew: { Nested: [1, 2.5, true, new Date('2026-01-01T00:00:00Z')] },
    })
  })

  it('may acknowledge and still tell of failures inside', () => {
    const { status, fields, errorChain } = parseReport(sample('valid', '49-ack-settings-partial-failure.plist'))
    expect({ status, errorChain }).toEqual({ status: 'Acknowledged', errorChain: [] })
    expect(fields['Settings']).toMatchObject([{ Item: 'DeviceName' }, { Item: 'Wallpaper', Status: 'Error' }])
  })

  it('tells an error with its causes, in order', () => {
    expect(parseReport(sample('valid', '50-error-chain.plist'))).toMatchObject({
      status: 'Error',
      errorChain: [
        {
          errorCode: 4001, errorDomain: 'MCInstallationErrorDomain',
          usEnglishDescription: 'Profile Installation Failed',
          localizedDescription: 'Profil konnte nicht installiert werden.',
        },
        { errorCode: 1000, errorDomain: 'MCProfileErrorDomain', localizedDescription: 'The profile is not valid.' },
      ],
      fields: {},
    })
  })

  const statuses: [string, string][] = [
    ['46-ack-securityinfo-macos', 'Acknowledged'], ['47-ack-installapplication', 'Acknowledged'],
    ['48-ack-devicelocation', 'Acknowledged'], ['51-commandformaterror', 'CommandFormatError'], ['52-notnow', 'NotNow'],
    ['53-notnow-macos-user', 'NotNow'], ['54-ack-declarativemanagement', 'Acknowledged'],
  ]
  for (const [file, status] of statuses) {
    it(`of ${file} is ${status}`, () => {
      expect(parseReport(sample('valid', `${file}.plist`))).toMatchObject({
        status, commandUuid: expect.stringMatching(/^0C00000[0-9A-F]-/),
      })
    })
  }

  const refusals: [string, EncodableDict, string][] = [
    ['no CommandUUID', {}, 'command_uuid'],
    ['a number as CommandUUID', { CommandUUID: 7 }, 'command_uuid'],
    ['an empty CommandUUID', { CommandUUID: '' }, 'command_uuid'],
    ['a CommandUUID of 65 characters', { CommandUUID: 'a'.repeat(65) }, 'command_uuid'],
    ['a CommandUUID with a line end', { CommandUUID: 'a\n' }, 'command_uuid'],
    ['a CommandUUID beyond ASCII', { CommandUUID: '\u00E9' }, 'command_uuid'],
    ['a Status of its own', { Status: 'Sorry', CommandUUID: 'a' }, 'status'],
    ['a Status in lower case', { Status: 'acknowledged', CommandUUID: 'a' }, 'status'],
    ['no Status', { Status: undefined, CommandUUID: 'a' }, 'status'],
    ['nobody to come from', { UDID: undefined, CommandUUID: 'a' }, 'identifier'],
  ]
  for (const [title, fields, reason] of refusals) {
    it(`is refused with ${title}`, () => {
      expect(reasonOf(() => parseReport(report('Acknowledged', fields)))).toBe(reason)
    })
  }

  it('is taken with any printable CommandUUID of up to 64 characters', () => {
    const uuid = 'not a UUID {~}'.padEnd(64, '!')
    expect(parseReport(report('NotNow', { CommandUUID: uuid })).commandUuid).toBe(uuid)
  })
})

describe('an ErrorChain', () => {
  const chains: [string, EncodableDict, object[]][] = [
    ['with nothing in an item', { ErrorChain: [{}] }, [{ errorCode: 0, errorDomain: '' }]],
    ['with parts of a wrong type', { ErrorChain: [{ ErrorCode: '1', ErrorDomain: 2, LocalizedDescription: [] }] },
      [{ errorCode: 0, errorDomain: '' }]],
    ['with items that are no dict', { ErrorChain: ['x', { ErrorCode: 5, ErrorDomain: 'D' }, 1] },
      [{ errorCode: 5, errorDomain: 'D' }]],
    ['that is no array', { ErrorChain: 'broken' }, []],
  ]
  for (const [title, fields, errorChain] of chains) {
    it(`${title} is no reason to refuse`, () => {
      expect(parseReport(report('Error', { CommandUUID: 'a', ...fields })).errorChain).toEqual(errorChain)
    })
  }
})

function report(status: string, fields: EncodableDict): Buffer {
  return encodePlist({ Status: status, UDID, ...fields })
}
