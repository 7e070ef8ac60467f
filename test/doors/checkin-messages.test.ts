import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodePlist, type EncodableDict } from '../../src/apple/wire/plist-writer.ts'
import { decodePlist } from '../../src/apple/wire/plist.ts'
import { TOPIC, dumpTables, startBramley, still, until, type Answer, type TestServer } from '../support/bramley.ts'
import { CHECKIN, REPORT, enrolledDevice, obtainIdentity, rawDevice, signatureOf, type RawDevice } from '../support/raw-device.ts'

const sample = (name: string) => readFileSync(new URL(`../fixtures/apple/samples/valid/${name}.plist`, import.meta.url))
const IPHONE = '00008120-001A2D3C4E5F601E'
const MAC = '564D3E1A-5C7B-5F6A-9B1E-3C2D1A0B9F8E'
const PAD = '00008101-000B5C2A1E08001E'
const PERSONAL = 'B1C0A7E4-3D52-49F0-8A6B-77D0E1F2A3B4'
const ADA = '5A3C9E10-7F21-4B8D-A6C5-0D9E8F7A6B5C'
const GRACE = 'grace.hopper@appleid.example.edu'

let server: TestServer
let phone: RawDevice
let mac: RawDevice
let pad: RawDevice
let personal: RawDevice

beforeAll(async () => {
  server = await startBramley()
  const enroll = async (udid: string, ...files: string[]) => {
    const device = rawDevice(server, udid, (await obtainIdentity(server, await server.link())).identity)
    for (const file of files) expect(await said(device, file)).toEqual([200, ''])
    return device
  }
  phone = await enroll(IPHONE, '01-authenticate-ios', '04-tokenupdate-ios-awaiting')
  mac = await enroll(MAC, '02-authenticate-macos', '06-tokenupdate-macos-device')
  personal = await enroll(PERSONAL, '03-authenticate-user-enrollment', '09-tokenupdate-user-enrollment')
  pad = await enrolledDevice(server, PAD, { authenticate: { ProductName: 'iPad14,3' } })
})
afterAll(() => server.stop())

const said = async (device: RawDevice, file: string) => {
  const answer = await device.put(sample(file), CHECKIN)
  return [answer.status, answer.body.toString()]
}

type Row = {
  id: number
  state: string
  push_token: Buffer | null
  push_magic: string | null
  sealed_bootstrap_token: Buffer | null
  awaiting_configuration: boolean
  user_long_name: string | null
}
const row = async (udid: string, user = '') => (await server.db.query<Row>(
  'select * from enrollments where device_key = $1 and user_key = $2 order by id desc limit 1', [udid, user]))[0]

/** What it answers, when every table is as it was before. */
async function unchanged(ask: () => Promise<Answer>): Promise<Answer> {
  await still(server)
  const before = await dumpTables(server.db)
  const answer = await ask()
  expect(await dumpTables(server.db)).toEqual(before)
  return answer
}

describe('a bootstrap token', () => {
  const get = () => mac.put(sample('16-getbootstraptoken'), CHECKIN)
  const token = async () => {
    const answer = await unchanged(get)
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/xml; charset=utf-8'])
    return { ...decodePlist(answer.body) as object }
  }

  it('16: that nobody entrusted is an empty dict', async () => expect(await token()).toEqual({}))

  it('14: is kept sealed, and given back to the device that entrusted it', async () => {
    expect(await said(mac, '14-setbootstraptoken')).toEqual([200, ''])
    const entrusted = Buffer.from(Array.from({ length: 64 }, (_, index) => index))
    expect((await row(MAC))?.sealed_bootstrap_token?.includes(entrusted.subarray(0, 16))).toBe(false)
    expect(await token()).toEqual({ BootstrapToken: entrusted })
    expect(await server.db.query(`select 1 from events where type = 'device.bootstrap_token_set'`)).toHaveLength(1)
  })

  it('stays when the device sends another push token', async () => {
    expect(await said(mac, '06-tokenupdate-macos-device')).toEqual([200, ''])
    expect(await token()).toHaveProperty('BootstrapToken')
  })

  it('15: is forgotten when the device says so, and when it sends an empty one', async () => {
    expect(await said(mac, '15-setbootstraptoken-remove')).toEqual([200, ''])
    expect(await token()).toEqual({})
    expect(await said(mac, '14-setbootstraptoken')).toEqual([200, ''])
    expect((await mac.checkin({ MessageType: 'SetBootstrapToken', Topic: undefined, BootstrapToken: Buffer.alloc(0) })).status).toBe(200)
    expect((await row(MAC))?.sealed_bootstrap_token).toBeNull()
  })

  it('is forgotten when the device authenticates again', async () => {
    expect(await said(mac, '14-setbootstraptoken')).toEqual([200, ''])
    expect(await said(mac, '02-authenticate-macos')).toEqual([200, ''])
    expect(await token()).toEqual({})
    expect(await said(mac, '06-tokenupdate-macos-device')).toEqual([200, ''])
    expect(await token()).toEqual({})
  })

  it('21: is not given to another certificate that enrolls the same hardware, held or let in', async () => {
    const udid = '00008120-0000000000B1'
    const secret = encodePlist({ MessageType: 'SetBootstrapToken', UDID: udid, BootstrapToken: Buffer.alloc(64, 7) })
    const asks = encodePlist({ MessageType: 'GetBootstrapToken', UDID: udid })
    const old = await enrolledDevice(server, udid)
    expect((await old.put(secret, CHECKIN)).status).toBe(200)
    const held = rawDevice(server, udid, (await obtainIdentity(server, await server.link())).identity)
    await held.authenticate()
    await held.tokenUpdate()
    expect((await held.put(asks, CHECKIN)).body).toEqual(encodePlist({}))
    expect((await old.put(asks, CHECKIN)).body.toString()).toContain('BootstrapToken')
    expect((await server.api('POST', `/devices/${udid}/enrollment/approve`)).status).toBe(200)
    expect((await held.put(asks, CHECKIN)).body).toEqual(encodePlist({}))
    expect((await unchanged(() => old.put(asks, CHECKIN))).status).toBe(400)
  })

  it('is refused from a user, in the wrong type, too long, and from a device that has checked out', async () => {
    const gone = await enrolledDevice(server, '00008120-0000000000B2')
    await gone.checkin({ MessageType: 'CheckOut' })
    const set = { MessageType: 'SetBootstrapToken', BootstrapToken: Buffer.alloc(8) }
    const refusals: [RawDevice, EncodableDict][] = [
      [mac, { ...set, UserID: ADA }], [mac, { MessageType: 'GetBootstrapToken', UserID: ADA }], [mac, { ...set, BootstrapToken: 'AAAA' }],
      [mac, { ...set, BootstrapToken: Buffer.alloc(65_537) }], [gone, set], [gone, { MessageType: 'GetBootstrapToken' }],
    ]
    for (const [device, message] of refusals) {
      const answer = await unchanged(() => device.checkin(message))
      expect([message, answer.status, answer.body.length]).toEqual([message, 400, 0])
    }
  })
})

describe('what is never granted', () => {
  it.each(['12-userauthenticate-1', '13-userauthenticate-2'])('%s: network users are not managed: 410, and nothing is stored', async (file) => {
    const answer = await unchanged(() => mac.put(sample(file), CHECKIN))
    expect([answer.status, answer.body.length]).toEqual([410, 0])
  })

  it.each([['17-gettoken-maid', IPHONE], ['18-gettoken-watch-pairing', IPHONE], ['24-returntoservice', PAD]])('%s: 400, and nothing is stored', async (file, udid) => {
    const answer = await unchanged(() => (udid === PAD ? pad : phone).put(sample(file), CHECKIN))
    expect([answer.status, answer.body.length]).toEqual([400, 0])
  })

  it('a stranger who asks for any of it learns no more than any stranger', async () => {
    for (const file of ['12-userauthenticate-1', '14-setbootstraptoken', '15-setbootstraptoken-remove', '16-getbootstraptoken', '17-gettoken-maid', '24-returntoservice']) {
      const body = sample(file)
      const speaker = body.toString().includes(MAC) ? phone : mac
      const answer = await unchanged(() => speaker.put(body, CHECKIN))
      expect([file, answer.status, answer.body.length]).toEqual([file, 400, 0])
    }
  })
})

describe('the user channel', () => {
  const push = async (device: string, user?: string) => {
    const found = await row(device, user)
    return [found?.state, found?.push_token?.toString('base64'), found?.push_magic]
  }

  it('07, 08, 10: has a token and a magic of its own; the device’s stay', async () => {
    for (const [device, udid, user, file] of [
      [mac, MAC, ADA, '07-tokenupdate-macos-user'], [pad, PAD, GRACE, '08-tokenupdate-shared-ipad-user'],
      [personal, PERSONAL, '6E5D4C3B-2A19-4887-9665-543210FEDCBA', '10-tokenupdate-user-enrollment-macos-user'],
    ] as const) {
      const before = await push(udid)
      expect(await said(device, file)).toEqual([200, ''])
      const text = sample(file).toString()
      expect(await push(udid, user)).toEqual([
        'enrolled', /<data>\s*([^<\s]+)/.exec(text)?.[1], /PushMagic<\/key>\s*<string>([^<]+)/.exec(text)?.[1],
      ])
      expect(await push(udid)).toEqual(before)
    }
    expect(await row(PAD, GRACE)).toMatchObject({ awaiting_configuration: true, user_long_name: 'Grace Hopper' })
    expect(await row(PAD)).toMatchObject({ awaiting_configuration: false })
  })

  it('gets no command of the device, and the device none of a user', async () => {
    const idle = async () => (await pad.put(sample('42-idle-shared-ipad-user'), REPORT)).body.toString()
    const forDevice = await queued(PAD, 'DeviceInformation', undefined)
    expect(await idle()).toBe('')
    const forUser = await queued(PAD, 'ProfileList', GRACE.toUpperCase())
    expect(await idle()).toContain(forUser)
    expect((await pad.idle())?.['CommandUUID']).toBe(forDevice)
    const answer = encodePlist({ UDID: PAD, UserID: 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', UserShortName: GRACE, Status: 'Acknowledged', CommandUUID: forUser })
    expect((await pad.put(answer, REPORT)).body).toHaveLength(0)
    const { data } = (await server.api('GET', `/devices/${PAD}/commands`)).json<{ data: { user: string | null; state: string }[] }>()
    expect(data.map(({ user, state }) => [user, state])).toEqual([[GRACE, 'acknowledged'], [null, 'delivered']])
  })

  it('of a personal Mac is told apart by its EnrollmentUserID, in the queue and in every message', async () => {
    const user = '6E5D4C3B-2A19-4887-9665-543210FEDCBA'
    const say = async (message: EncodableDict) => (await personal.put(encodePlist({ EnrollmentID: PERSONAL, ...message }), REPORT)).body.toString()
    const [forDevice, forUser] = [await queued(PERSONAL, 'CertificateList', undefined), await queued(PERSONAL, 'ProfileList', user)]
    expect(await say({ Status: 'Idle', EnrollmentUserID: user })).toContain(forUser)
    expect(await say({ Status: 'Idle' })).toContain(forDevice)
    // Each reports on the other's: nothing is attached, and each is offered its own again.
    expect(await say({ Status: 'Acknowledged', CommandUUID: forDevice, EnrollmentUserID: user })).toContain(forUser)
    expect(await say({ Status: 'Acknowledged', CommandUUID: forUser })).toContain(forDevice)
    expect(await say({ Status: 'NotNow', CommandUUID: forUser, EnrollmentUserID: user })).toBe('')
    expect(await say({ Status: 'Acknowledged', CommandUUID: forDevice })).toBe('')
    const { data } = (await server.api('GET', `/devices/${PERSONAL}/commands`)).json<{ data: { user: string | null; state: string }[] }>()
    expect(data.map(({ user: whose, state }) => [whose, state])).toEqual([[user, 'not_now'], [null, 'acknowledged']])
    for (const keys of [{ EnrollmentID: PERSONAL, UserID: user }, { UDID: MAC, EnrollmentUserID: user }, { UDID: MAC, EnrollmentID: PERSONAL }]) {
      const speaker = 'UDID' in keys ? mac : personal
      const answer = await unchanged(() => speaker.put(encodePlist({ ...keys, Status: 'Idle' }), REPORT))
      expect([keys, answer.status, answer.body.length]).toEqual([keys, 400, 0])
    }
    const checkOut = encodePlist({ MessageType: 'CheckOut', Topic: TOPIC, EnrollmentID: PERSONAL, EnrollmentUserID: user })
    expect((await personal.put(checkOut, CHECKIN)).status).toBe(200)
    expect([await row(PERSONAL, user), await row(PERSONAL)]).toMatchObject([{ state: 'unenrolled', push_token: null }, { state: 'enrolled' }])
  })

  it('is woken by its own token and magic', async () => {
    const token = server.apns.register(TOPIC)
    const user = { UserID: 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', UserShortName: 'linus@appleid.example.edu' }
    expect((await pad.tokenUpdate({ ...user, Token: token, PushMagic: 'the magic of Linus' })).status).toBe(200)
    await queued(PAD, 'ProfileList', user.UserShortName)
    const sent = await until(async () => server.apns.received.find((push) => push.token.equals(token)) ?? false, 'a push')
    expect(sent.pushMagic).toBe('the magic of Linus')
  })

  it('takes only what Apple allows there, and only for users the device has told of', async () => {
    const ask = (user: string, type = 'ProfileList') => server.api('POST', `/devices/${PAD}/commands?user=${encodeURIComponent(user)}`, { type })
    expect((await unchanged(() => ask('nobody@example.edu'))).json()).toMatchObject({ status: 404, code: 'not_found' })
    expect((await unchanged(() => ask(GRACE, 'EraseDevice'))).json()).toMatchObject({ status: 422, code: 'not_supported_by_device' })
    expect((await unchanged(() => server.api('POST', `/devices/${IPHONE}/commands?user=${encodeURIComponent(GRACE)}`, { type: 'ProfileList' }))).status).toBe(404)
    expect((await unchanged(() => ask(''))).status).toBe(400)
  })

  it('has its waiting commands withdrawn without touching the device’s', async () => {
    await queued(PAD, 'SecurityInfo', undefined)
    await queued(PAD, 'ProfileList', GRACE)
    const answer = await server.api('DELETE', `/devices/${PAD}/commands?user=${encodeURIComponent(GRACE)}`)
    expect(answer.json<{ cancelled: string[] }>().cancelled).toHaveLength(1)
    expect((await server.api('GET', `/devices/${PAD}/commands?state=cancelled`)).json()).toMatchObject({ data: [{ user: GRACE }] })
  })

  it('loses its commands when the device begins again, and does not get them back as the same user', async () => {
    await queued(MAC, 'ProfileList', 'ada')
    for (const file of ['02-authenticate-macos', '06-tokenupdate-macos-device', '07-tokenupdate-macos-user']) expect(await said(mac, file)).toEqual([200, ''])
    const idle = await mac.report({ Status: 'Idle', UserID: ADA })
    expect([idle.status, idle.body.length]).toEqual([200, 0])
  })

  it('ends alone when its user checks out; the device and its other users stay', async () => {
    const bob = { UserID: 'BBBBBBBB-0000-4000-8000-000000000001', UserShortName: 'bob' }
    expect((await mac.tokenUpdate(bob)).status).toBe(200)
    expect((await mac.checkin({ MessageType: 'CheckOut', UserID: ADA })).status).toBe(200)
    expect(await row(MAC, ADA)).toMatchObject({ state: 'unenrolled', push_token: null, push_magic: null })
    expect(await row(MAC, bob.UserID)).toMatchObject({ state: 'enrolled' })
    expect(await row(MAC)).toMatchObject({ state: 'enrolled' })
    expect((await mac.checkin({ MessageType: 'CheckOut' })).status).toBe(200)
    expect(await row(MAC, bob.UserID)).toMatchObject({ state: 'unenrolled', push_token: null })
  })

  it('2: is not reached by another device that names the same user as its own', async () => {
    const same = { UserID: 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', UserShortName: GRACE }
    await queued(PAD, 'ProfileList', GRACE)
    expect((await unchanged(() => phone.checkin({ ...same, MessageType: 'CheckOut' }))).status).toBe(400)
    const idle = await unchanged(() => phone.report({ ...same, Status: 'Idle' }))
    expect([idle.status, idle.body.length]).toEqual([200, 0])
    const before = await push(PAD, GRACE)
    expect((await phone.tokenUpdate(same)).status).toBe(200)
    expect((await phone.report({ ...same, Status: 'Idle' })).body).toHaveLength(0)
    expect(await push(PAD, GRACE)).toEqual(before)
  })

  it('2: cannot be opened, spoken on or ended by another device’s certificate', async () => {
    const user = { UDID: PAD, UserID: 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', UserShortName: GRACE }
    const messages: [string, EncodableDict][] = [
      [CHECKIN, { ...user, MessageType: 'TokenUpdate', Topic: TOPIC, Token: Buffer.alloc(32), PushMagic: 'm' }],
      [CHECKIN, { ...user, MessageType: 'CheckOut', Topic: TOPIC }],
      [CHECKIN, { ...user, MessageType: 'UserAuthenticate' }],
      [CHECKIN, { ...user, MessageType: 'GetToken', TokenServiceType: 'com.apple.maid' }],
      [REPORT, { ...user, Status: 'Idle' }],
      [REPORT, { ...user, Status: 'Acknowledged', CommandUUID: 'x' }],
    ]
    for (const [type, message] of messages) {
      const body = encodePlist(message)
      const answer = await unchanged(() => server.http('PUT', '/mdm', {
        headers: { 'content-type': type, 'mdm-signature': signatureOf(body, phone.identity) }, body,
      }))
      expect([message, answer.status, answer.body.length]).toEqual([message, 400, 0])
    }
  })
})

/** Queues a command for a device or one of its users; returns its CommandUUID. */
async function queued(udid: string, type: string, user: string | undefined): Promise<string> {
  const query = user === undefined ? '' : `?user=${encodeURIComponent(user)}`
  const answer = await server.api('POST', `/devices/${udid}/commands${query}`, { type })
  expect([answer.status, answer.json()['code']]).toEqual([202, undefined])
  return answer.json<{ command_uuid: string }>().command_uuid
}
