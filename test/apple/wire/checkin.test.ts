import { describe, expect, it } from 'vitest'
import { parseCheckin } from '../../../src/apple/wire/checkin.ts'
import { encodePlist, type EncodableDict } from '../../../src/apple/wire/plist-writer.ts'
import { reasonOf } from './reason-of.ts'
import { sample } from './samples.ts'

const TOPIC = 'com.apple.mgmt.External.8c0f6d52-4b1e-4c53-9f5e-2f1d7a6b9c10'
const UDID = '00008120-001A2D3C4E5F601E'
const MAC = '564D3E1A-5C7B-5F6A-9B1E-3C2D1A0B9F8E'
const PERSONAL = 'B1C0A7E4-3D52-49F0-8A6B-77D0E1F2A3B4'

describe('Authenticate', () => {
  it('says what an iPhone is', () => {
    expect(parseCheckin(sample('valid', '01-authenticate-ios.plist'))).toEqual({
      MessageType: 'Authenticate', Topic: TOPIC, SerialNumber: 'F2LX9K7QN70R', OSVersion: '18.0',
      BuildVersion: '22A3354', ProductName: 'iPhone15,2', IMEI: '35 612408 123456 7', MEID: '35612408123456',
      channel: { deviceKey: UDID, deviceKeyKind: 'udid', channel: 'device', userKey: '' },
    })
  })

  it('says what a Mac is called', () => {
    expect(parseCheckin(sample('valid', '02-authenticate-macos.plist'))).toMatchObject({
      DeviceName: 'Mac 2.14', Model: 'Mac15,6', ModelName: 'MacBook Pro', channel: { deviceKey: MAC },
    })
  })

  it('tells nothing that identifies a personal device', () => {
    const message = parseCheckin(sample('valid', '03-authenticate-user-enrollment.plist'))
    expect(message.channel).toMatchObject({ deviceKey: PERSONAL, deviceKeyKind: 'enrollment_id', channel: 'device' })
    expect(message).not.toHaveProperty('SerialNumber')
  })

  it('is refused from a user', () => {
    expect(reasonOf(() => parseCheckin(message('Authenticate', { UserID: 'ada' })))).toBe('channel')
  })
})

describe('TokenUpdate', () => {
  it('carries what wakes and unlocks an iPhone', () => {
    const token = parseCheckin(sample('valid', '04-tokenupdate-ios-awaiting.plist'))
    expect(token).toMatchObject({
      MessageType: 'TokenUpdate', PushMagic: 'E9B3C0F6-52D1-4A8B-9C77-1F2E3D4C5B6A', AwaitingConfiguration: true,
      Token: Buffer.from('CzBVep/E6Q4zWH2ix+wRNluApcrvFDleg6jN8hc8YYY=', 'base64'),
    })
    expect(token).toHaveProperty('UnlockToken.length', 240)
  })

  it('says nothing about what it leaves out', () => {
    const token = parseCheckin(sample('valid', '05-tokenupdate-ios-later.plist'))
    expect(token).not.toHaveProperty('UnlockToken')
    expect(token).not.toHaveProperty('AwaitingConfiguration')
  })

  it('with an empty UnlockToken is one without', () => {
    expect(parseCheckin(tokenUpdate({ UnlockToken: Buffer.alloc(0) }))).toHaveProperty('UnlockToken', undefined)
  })

  const channels: [string, object][] = [
    ['06-tokenupdate-macos-device', { channel: 'device', deviceKey: MAC }],
    ['07-tokenupdate-macos-user', { channel: 'user', deviceKey: MAC, userKey: '5A3C9E10-7F21-4B8D-A6C5-0D9E8F7A6B5C' }],
    ['08-tokenupdate-shared-ipad-user', { channel: 'user', userKey: 'grace.hopper@appleid.example.edu' }],
    ['09-tokenupdate-user-enrollment', { channel: 'device', deviceKey: PERSONAL }],
    ['10-tokenupdate-user-enrollment-macos-user',
      { channel: 'user', deviceKey: PERSONAL, userKey: '6E5D4C3B-2A19-4887-9665-543210FEDCBA', userShortName: 'ada' }],
  ]
  for (const [file, channel] of channels) {
    it(`of ${file} belongs to its own channel`, () => {
      expect(parseCheckin(sample('valid', `${file}.plist`)).channel).toMatchObject(channel)
    })
  }

  const refusals: [string, EncodableDict, string][] = [
    ['an empty Token', { Token: Buffer.alloc(0) }, 'value'],
    ['a Token of 257 bytes', { Token: Buffer.alloc(257) }, 'value'],
    ['a Token in hexadecimal text', { Token: '0b30557a' }, 'type'],
    ['no Token', { Token: undefined }, 'type'],
    ['no PushMagic', { PushMagic: undefined }, 'type'],
    ['an empty PushMagic', { PushMagic: '' }, 'value'],
    ['a PushMagic of 257 characters', { PushMagic: 'a'.repeat(257) }, 'value'],
    ['a PushMagic with a line end', { PushMagic: 'a\n' }, 'value'],
    ['an UnlockToken above 64 KiB', { UnlockToken: Buffer.alloc(65_537) }, 'value'],
    ['AwaitingConfiguration as a word', { AwaitingConfiguration: 'true' }, 'type'],
    ['a Topic of an app', { Topic: 'com.example.app' }, 'value'],
    ['a Topic of 256 characters', { Topic: 'com.apple.mgmt.'.padEnd(256, 'a') }, 'value'],
    ['a Topic with a line end', { Topic: `${TOPIC}\n` }, 'value'],
  ]
  for (const [title, fields, reason] of refusals) {
    it(`is refused with ${title}`, () => expect(reasonOf(() => parseCheckin(tokenUpdate(fields)))).toBe(reason))
  }

  it('is taken with the longest values', () => {
    const fields = {
      Token: Buffer.alloc(256), PushMagic: 'a'.repeat(256), UnlockToken: Buffer.alloc(65_536),
      Topic: 'com.apple.mgmt.'.padEnd(255, 'a'),
    }
    const { UnlockToken, ...rest } = fields
    const token = parseCheckin(tokenUpdate(fields))
    expect(token).toMatchObject(rest)
    expect(token).toHaveProperty('UnlockToken.length', UnlockToken.length)
  })
})

describe('CheckOut', () => {
  it('ends a device', () => {
    expect(parseCheckin(sample('valid', '11-checkout.plist')))
      .toMatchObject({ MessageType: 'CheckOut', Topic: TOPIC, channel: { deviceKey: UDID, channel: 'device' } })
  })

  it('ends only the user who sends it', () => {
    const { channel } = parseCheckin(message('CheckOut', { UserID: 'ada' }))
    expect(channel).toMatchObject({ channel: 'user', userKey: 'ada' })
  })
})

describe('the messages without a topic', () => {
  it('carry a bootstrap token, or ask to forget it', () => {
    expect(parseCheckin(sample('valid', '14-setbootstraptoken.plist'))).toHaveProperty('BootstrapToken.length', 64)
    expect(parseCheckin(sample('valid', '15-setbootstraptoken-remove.plist'))).not.toHaveProperty('BootstrapToken')
    expect(parseCheckin(message('SetBootstrapToken', { BootstrapToken: Buffer.alloc(0) }))).toHaveProperty('BootstrapToken', undefined)
  })

  it('say which user logs in, and for which service a token is wanted', () => {
    expect(parseCheckin(sample('valid', '12-userauthenticate-1.plist')).channel).toMatchObject({ channel: 'user', deviceKey: MAC })
    expect(parseCheckin(sample('valid', '13-userauthenticate-2.plist'))).toHaveProperty('DigestResponse')
    expect(parseCheckin(sample('valid', '17-gettoken-maid.plist'))).toMatchObject({ TokenServiceType: 'com.apple.maid' })
  })

  it.each(['SetBootstrapToken', 'GetBootstrapToken', 'ReturnToService'])('are refused from a user: %s', (type) => {
    expect(reasonOf(() => parseCheckin(message(type, { UserID: 'ada' })))).toBe('channel')
  })

  it('are refused from a device where a user logs in', () => {
    expect(reasonOf(() => parseCheckin(message('UserAuthenticate', {})))).toBe('channel')
  })
})

describe('any message', () => {
  it('may have keys that are not known yet', () => {
    expect(parseCheckin(message('CheckOut', { NextYear: { Key: 1 } }))).not.toHaveProperty('NextYear')
  })

  it('is refused when its type is the name of a property of objects', () => {
    expect(reasonOf(() => parseCheckin(message('toString', {})))).toBe('message_type')
  })

  it('is refused with a text of more than 1024 characters', () => {
    expect(reasonOf(() => parseCheckin(message('Authenticate', { DeviceName: 'a'.repeat(1025) })))).toBe('value')
  })

  it('is refused in words that do not repeat it', () => {
    expect(() => parseCheckin(message('Authenticate', { SerialNumber: 123456789 }))).toThrow(/^type: SerialNumber$/)
  })
})

function message(type: string, fields: EncodableDict): Buffer {
  return encodePlist({ MessageType: type, Topic: TOPIC, UDID, ...fields })
}

function tokenUpdate(fields: EncodableDict): Buffer {
  return message('TokenUpdate', { Token: Buffer.alloc(32, 1), PushMagic: 'magic', ...fields })
}
