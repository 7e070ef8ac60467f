import { describe, expect, it } from 'vitest'
import { readChannel } from '../../../src/apple/wire/channel.ts'
import type { PlistValue } from '../../../src/apple/wire/plist.ts'
import { reasonOf } from './reason-of.ts'

const UDID = '00008120-001A2D3C4E5F601E'
const MAC = '564D3E1A-5C7B-5F6A-9B1E-3C2D1A0B9F8E'
const ENROLLMENT = 'B1C0A7E4-3D52-49F0-8A6B-77D0E1F2A3B4'
const USER = '5A3C9E10-7F21-4B8D-A6C5-0D9E8F7A6B5C'
const SHARED = 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'
const iphone = { deviceKey: UDID, deviceKeyKind: 'udid' }
const mac = { deviceKey: MAC, deviceKeyKind: 'udid' }
const personal = { deviceKey: ENROLLMENT, deviceKeyKind: 'enrollment_id' }
const device = { channel: 'device', userKey: '' }

type Keys = { [key: string]: PlistValue }

describe('who speaks', () => {
  const channels: [string, Keys, object][] = [
    ['a device', { UDID }, { ...iphone, ...device }],
    ['a user of a Mac', { UDID: MAC, UserID: USER, UserShortName: 'ada', UserLongName: 'Ada' },
      { ...mac, channel: 'user', userKey: USER, userShortName: 'ada', userLongName: 'Ada' }],
    ['a user of a Shared iPad', { UDID, UserID: SHARED, UserShortName: 'grace@example.edu' },
      { ...iphone, channel: 'user', userKey: 'grace@example.edu', userShortName: 'grace@example.edu', isShared: true }],
    ['the same in lower case', { UDID, UserID: SHARED.toLowerCase(), UserShortName: 'grace' },
      { ...iphone, channel: 'user', userKey: 'grace', userShortName: 'grace', isShared: true }],
    ['a personal device', { EnrollmentID: ENROLLMENT }, { ...personal, ...device }],
    ['a user of a personal Mac', { EnrollmentID: ENROLLMENT, EnrollmentUserID: USER },
      { ...personal, channel: 'user', userKey: USER }],
    ['a device with a name and no user', { UDID, UserShortName: 'ada' }, { ...iphone, ...device }],
  ]
  for (const [title, keys, address] of channels) {
    it(`knows ${title}`, () => expect(readChannel(keys)).toEqual(address))
  }

  it('keeps identifiers exactly as sent', () => {
    const channel = readChannel({ UDID: UDID.toLowerCase(), UserID: ' Mixed Case\u00E9 ' })
    expect(channel).toMatchObject({ deviceKey: UDID.toLowerCase(), userKey: ' Mixed Case\u00E9 ' })
  })

  it('leaves out names that cannot be shown, and keeps the user', () => {
    const channel = readChannel({ UDID: MAC, UserID: USER, UserShortName: '', UserLongName: 'a'.repeat(256) })
    expect(channel).toEqual({ ...mac, channel: 'user', userKey: USER })
  })

  const refusals: [string, Keys, string][] = [
    ['nobody', {}, 'identifier'],
    ['only a user', { UserID: USER }, 'identifier'],
    ['an empty UDID', { UDID: '' }, 'identifier'],
    ['an empty UDID beside an EnrollmentID', { UDID: '', EnrollmentID: ENROLLMENT }, 'identifier'],
    ['a UDID of seven characters', { UDID: '1234567' }, 'identifier'],
    ['a UDID of 65 characters', { UDID: 'A'.repeat(65) }, 'identifier'],
    ['a path as UDID', { UDID: '../../etc/passwd' }, 'identifier'],
    ['a line end after the UDID', { UDID: `${UDID}\n` }, 'identifier'],
    ['an EnrollmentID with markup', { EnrollmentID: '<script>alert(1)</script>' }, 'identifier'],
    ['the Shared iPad user without a short name', { UDID, UserID: SHARED }, 'identifier'],
    ['the Shared iPad user with an empty short name', { UDID, UserID: SHARED, UserShortName: '' }, 'identifier'],
    ['an empty UserID', { UDID, UserID: '' }, 'identifier'],
    ['a UserID of 256 characters', { UDID, UserID: 'a'.repeat(256) }, 'identifier'],
    ['a UserID with a control character', { UDID, UserID: 'a\u0085b' }, 'identifier'],
    ['an EnrollmentUserID beside a UDID', { UDID, EnrollmentUserID: USER }, 'identifier'],
    ['a UserID beside an EnrollmentID', { EnrollmentID: ENROLLMENT, UserID: USER }, 'identifier'],
    ['a UDID that is data', { UDID: Buffer.from(UDID) }, 'type'],
    ['a UserID that is a number', { UDID, UserID: 501 }, 'type'],
    ['an EnrollmentID that is a number, beside a UDID', { UDID, EnrollmentID: 1 }, 'type'],
  ]
  for (const [title, keys, reason] of refusals) {
    it(`refuses ${title}`, () => expect(reasonOf(() => readChannel(keys))).toBe(reason))
  }
})
