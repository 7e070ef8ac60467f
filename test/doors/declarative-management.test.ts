import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodePlist, type EncodableDict } from '../../src/apple/wire/plist-writer.ts'
import { dumpTables, startBramley, still, type Answer, type TestServer } from '../support/bramley.ts'
import { CHECKIN, enrolledDevice, obtainIdentity, rawDevice, signatureOf, type RawDevice } from '../support/raw-device.ts'

const sample = (name: string) => readFileSync(new URL(`../fixtures/apple/samples/valid/${name}.plist`, import.meta.url))
const IPHONE = '00008120-001A2D3C4E5F601E'
const MAC = '564D3E1A-5C7B-5F6A-9B1E-3C2D1A0B9F8E'
const PAD = '00008101-000B5C2A1E08001E'
const ADA = '5A3C9E10-7F21-4B8D-A6C5-0D9E8F7A6B5C'
const GRACE = { UserID: 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', UserShortName: 'grace.hopper@appleid.example.edu' }

let server: TestServer
let phone: RawDevice
let mac: RawDevice
let pad: RawDevice

beforeAll(async () => {
  server = await startBramley()
  phone = await enrolledDevice(server, IPHONE)
  mac = await enrolledDevice(server, MAC, { authenticate: { ProductName: 'Mac15,6' } })
  pad = await enrolledDevice(server, PAD, { authenticate: { ProductName: 'iPad14,3' } })
  expect((await mac.put(sample('07-tokenupdate-macos-user'), CHECKIN)).status).toBe(200)
  expect((await pad.put(sample('08-tokenupdate-shared-ipad-user'), CHECKIN)).status).toBe(200)
})
afterAll(() => server.stop())

const ask = (device: RawDevice, Endpoint: string, fields: EncodableDict = {}) =>
  device.checkin({ Topic: undefined, MessageType: 'DeclarativeManagement', Endpoint, ...fields })
const report = (device: RawDevice, status: unknown, fields: EncodableDict = {}) =>
  ask(device, 'status', { Data: Buffer.from(JSON.stringify(status)), ...fields })

type Status = { items: Record<string, unknown>; errors: unknown[]; full_report_at: Date | null }
const statusOf = async (udid: string, user = '') => (await server.db.query<Status>(
  `select s.* from declaration_status s join enrollments e on e.id = s.enrollment_id where e.device_key = $1 and e.user_key = $2`, [udid, user]))[0]

async function unchanged(send: () => Promise<Answer>): Promise<Answer> {
  await still(server)
  const before = await dumpTables(server.db)
  const answer = await send()
  expect(await dumpTables(server.db)).toEqual(before)
  return answer
}

describe('the set of declarations', () => {
  it('19, 20: is empty, under one token that stays; asking changes nothing', async () => {
    const tokens = await unchanged(() => phone.put(sample('19-ddm-tokens'), CHECKIN))
    const items = await unchanged(() => phone.put(sample('20-ddm-declaration-items'), CHECKIN))
    for (const answer of [tokens, items]) expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json'])
    const { SyncTokens } = tokens.json<{ SyncTokens: { DeclarationsToken: string; Timestamp: string } }>()
    expect(SyncTokens.Timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    expect(items.json()).toEqual({
      Declarations: { Activations: [], Assets: [], Configurations: [], Management: [] }, DeclarationsToken: SyncTokens.DeclarationsToken,
    })
    expect((await phone.put(sample('19-ddm-tokens'), CHECKIN)).json()).toEqual({ SyncTokens })
    expect((await ask(mac, 'tokens', { UserID: ADA })).json()).toMatchObject({ SyncTokens: { DeclarationsToken: SyncTokens.DeclarationsToken } })
  })

  it('21: has no declaration: 404, so that the device drops its copy', async () => {
    const answer = await unchanged(() => phone.put(sample('21-ddm-declaration'), CHECKIN))
    expect([answer.status, answer.body.length]).toEqual([404, 0])
  })
})

describe('the status of a channel', () => {
  it('22: is kept as it is reported, and merged with what comes later', async () => {
    const answer = await phone.put(sample('22-ddm-status'), CHECKIN)
    expect([answer.status, answer.body.length]).toEqual([200, 0])
    const first = await statusOf(IPHONE)
    expect(first).toMatchObject({
      items: { device: { model: { family: 'iPhone' }, 'operating-system': { version: '18.0' } } },
      errors: [{ StatusItem: 'softwareupdate.install-state' }], full_report_at: null,
    })
    const bad = { identifier: 'cfg-bad', 'server-token': '13', active: true, valid: 'valid' }
    const removed = { identifier: '4d7f6f0e-passcode', _removed: true }
    await report(phone, { StatusItems: {
      device: { 'operating-system': { version: '18.1' } }, management: { declarations: { configurations: [bad, removed] } },
    }, Errors: [] })
    const second = await statusOf(IPHONE)
    expect(second).toMatchObject({
      items: {
        device: { model: { family: 'iPhone' }, 'operating-system': { version: '18.1', family: 'iOS' } },
        management: { declarations: { activations: [{ identifier: 'act-1' }] } },
      },
      errors: [],
    })
    expect(second?.items).toHaveProperty('management.declarations.configurations', [bad])
  })

  it('is replaced by a full report', async () => {
    expect((await report(phone, { StatusItems: { device: { a: 1 } }, FullReport: true })).status).toBe(200)
    expect(await statusOf(IPHONE)).toMatchObject({ items: { device: { a: 1 } }, full_report_at: expect.any(Date) })
    expect((await statusOf(IPHONE))?.items).toEqual({ device: { a: 1 } })
  })

  it('23: belongs to one channel: device, Mac user and Shared iPad user apart', async () => {
    expect((await report(pad, { StatusItems: { of: 'pad' } })).status).toBe(200)
    expect((await report(mac, { StatusItems: { of: 'mac' } })).status).toBe(200)
    expect((await report(mac, { StatusItems: { of: 'ada' } }, { UserID: ADA })).status).toBe(200)
    expect((await report(pad, { StatusItems: { of: 'grace' } }, GRACE)).status).toBe(200)
    const answer = await pad.put(sample('23-ddm-status-shared-ipad-user'), CHECKIN)
    expect([answer.status, answer.body.length]).toEqual([200, 0])
    const empty = { management: { declarations: { activations: [], assets: [], configurations: [], management: [] } } }
    expect((await statusOf(PAD, GRACE.UserShortName))?.items).toEqual(empty)
    expect([(await statusOf(PAD))?.items, (await statusOf(MAC))?.items, (await statusOf(MAC, ADA))?.items])
      .toEqual([{ of: 'pad' }, { of: 'mac' }, { of: 'ada' }])
  })

  it('is not lost when two reports come at once', async () => {
    const names = Array.from({ length: 12 }, (_, index) => `item-${index}`)
    const answers = await Promise.all(names.map((name) => report(mac, { StatusItems: { many: { [name]: true } } })))
    expect(answers.map(({ status }) => status)).toEqual(names.map(() => 200))
    expect(Object.keys((await statusOf(MAC))?.items['many'] ?? {}).toSorted()).toEqual(names.toSorted())
  })

  it('is forgotten when a user comes back after leaving, and when the device begins again', async () => {
    await mac.checkin({ MessageType: 'CheckOut', UserID: ADA })
    expect((await unchanged(() => report(mac, { StatusItems: {} }, { UserID: ADA }))).status).toBe(400)
    expect((await mac.put(sample('07-tokenupdate-macos-user'), CHECKIN)).status).toBe(200)
    expect(await statusOf(MAC, ADA)).toBeUndefined()
    expect(await statusOf(MAC)).toBeDefined()
    expect((await mac.authenticate()).status).toBe(200)
    expect(await statusOf(MAC)).toBeUndefined()
  })

  it('cannot grow without end by small steps; a full report begins anew', async () => {
    const device = await enrolledDevice(server, '00008120-0000000000D1')
    const half = (name: string) => ({ StatusItems: { [name]: 'x'.repeat(2_200_000) } })
    expect((await report(device, half('a'))).status).toBe(200)
    expect((await unchanged(() => report(device, half('b')))).status).toBe(400)
    expect((await report(device, { ...half('b'), FullReport: true })).status).toBe(200)
  })
})

describe('what is refused', () => {
  const bad: [string, EncodableDict][] = [
    ['an unknown endpoint', { Endpoint: 'everything' }],
    ['a path', { Endpoint: 'declaration/configuration/../../tokens' }],
    ['no endpoint', { Endpoint: undefined }],
    ['an endpoint that is no text', { Endpoint: 1 }],
    ['a status without Data', { Endpoint: 'status' }],
    ['Data as text', { Endpoint: 'status', Data: '{"StatusItems":{}}' }],
    ['an empty status', { Endpoint: 'status', Data: Buffer.alloc(0) }],
    ['half a status', { Endpoint: 'status', Data: Buffer.from('{"StatusItems":{') }],
    ['a status with __proto__', { Endpoint: 'status', Data: Buffer.from('{"StatusItems":{"__proto__":{"polluted":1}}}') }],
    ['a status 65 deep', { Endpoint: 'status', Data: Buffer.from(`{"StatusItems":{"a":${'['.repeat(63)}${']'.repeat(63)}}}`) }],
  ]
  it.each(bad)('%s: 400 with nothing in it, and nothing is stored', async (_title, fields) => {
    const answer = await unchanged(() => phone.checkin({ Topic: undefined, MessageType: 'DeclarativeManagement', ...fields }))
    expect([answer.status, answer.body.length]).toEqual([400, 0])
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  it('23: B’s certificate with A’s identifiers, on every endpoint and channel', async () => {
    const data = Buffer.from('{"StatusItems":{"of":"thief"},"FullReport":true}')
    for (const who of [{ UDID: PAD }, { UDID: PAD, ...GRACE }]) {
      for (const endpoint of ['tokens', 'declaration-items', 'declaration/configuration/a', 'status']) {
        const body = encodePlist({ ...who, MessageType: 'DeclarativeManagement', Endpoint: endpoint, Data: data })
        const answer = await unchanged(() => server.http('PUT', '/mdm', {
          headers: { 'content-type': CHECKIN, 'mdm-signature': signatureOf(body, phone.identity) }, body,
        }))
        expect([endpoint, answer.status, answer.body.length]).toEqual([endpoint, 400, 0])
      }
    }
  })

  it('a user nobody has met, a device before its TokenUpdate, and one that has checked out', async () => {
    expect((await unchanged(() => ask(pad, 'tokens', { ...GRACE, UserShortName: 'nobody@example.edu' }))).status).toBe(400)
    const fresh = rawDevice(server, '00008120-0000000000D2', (await obtainIdentity(server, await server.link())).identity)
    expect((await unchanged(() => ask(fresh, 'tokens'))).status).toBe(400)
    expect((await fresh.authenticate()).status).toBe(200)
    expect((await unchanged(() => report(fresh, { StatusItems: {} }))).status).toBe(400)
    expect((await fresh.tokenUpdate()).status).toBe(200)
    expect((await ask(fresh, 'tokens')).status).toBe(200)
    expect((await fresh.checkin({ MessageType: 'CheckOut' })).status).toBe(200)
    expect((await unchanged(() => ask(fresh, 'tokens'))).status).toBe(400)
  })
})
