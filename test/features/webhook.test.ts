import { createHmac } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { encodePlist } from '../../src/apple/wire/plist-writer.ts'
import type { Config } from '../../src/base/config.ts'
import { registry } from '../../src/base/metrics.ts'
import { readSecretKey } from '../../src/base/secret-key.ts'
import { openVault } from '../../src/base/vault.ts'
import { webhookRow } from '../../src/features/webhook/index.ts'
import { dumpTables, startBramley, TOPIC, until, type TestServer } from '../support/bramley.ts'
import { freshDatabase } from '../support/pg.ts'
import { ensureBuilt, startServer } from '../support/process.ts'
import { CHECKIN, enrolledDevice, obtainIdentity, rawDevice, REPORT, signatureOf, uuidOf, type RawDevice } from '../support/raw-device.ts'
import { startReceiver, type Received, type WebhookReceiver } from '../support/webhook-receiver.ts'

const HMAC_KEY = 'the key of the webhook'
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/
const EVENT_ID = /^[0-9a-f]{16}$/

let server: TestServer
let receiver: WebhookReceiver
beforeAll(async () => {
  receiver = await startReceiver()
  server = await startBramley({ settings: { BRAMLEY_WEBHOOK_URL: receiver.url, BRAMLEY_WEBHOOK_HMAC_KEY: HMAC_KEY } })
})
afterAll(async () => {
  await server.stop()
  await receiver.close()
})
beforeEach(() => receiver.answer(() => 204))

let number = 0
const newUdid = () => `00008120-0000000W${String(++number).padStart(8, '0')}`.replace('W', 'A')
const waiting = (udid: string) => server.db.query<{ id: string }>('select id from webhook_events where stream = $1 order by seq', [udid])
const topics = (list: Received[]) => list.map(({ event }) => event.topic)

/** What the receiver has accepted of a device, once nothing more waits. */
async function told(udid: string): Promise<Received[]> {
  await until(async () => (await waiting(udid)).length === 0, 'everything to be told')
  return receiver.accepted(udid)
}

/** Lets what waits be tried at once. */
const hurry = (udid: string) => server.db.query('update webhook_events set due_at = now() where stream = $1 and ticket is null', [udid])

async function send(device: RawDevice, path: string, contentType: string, body: Buffer) {
  return server.http('PUT', path, { headers: { 'content-type': contentType, 'mdm-signature': signatureOf(body, device.identity) }, body })
}

describe('the JSON of an event', () => {
  it('golden: Authenticate, TokenUpdate, Idle and an answer, with the parameters of the URL', async () => {
    const udid = newUdid()
    const device = rawDevice(server, udid, (await obtainIdentity(server, await server.link())).identity)
    const bodies = {
      authenticate: encodePlist({ MessageType: 'Authenticate', UDID: udid, Topic: TOPIC, ProductName: 'iPhone15,2' }),
      tokenUpdate: encodePlist({ MessageType: 'TokenUpdate', UDID: udid, Topic: TOPIC, Token: server.apns.register(TOPIC), PushMagic: 'M' }),
      idle: encodePlist({ UDID: udid, Status: 'Idle' }),
    }
    await send(device, '/mdm?group=staff&b=1&group=other&a=', CHECKIN, bodies.authenticate)
    await send(device, '/mdm', CHECKIN, bodies.tokenUpdate)
    await send(device, '/mdm?group=staff', REPORT, bodies.idle)
    const { command_uuid: uuid } = (await server.api('POST', `/devices/${udid}/commands`, { type: 'ProfileList' })).json<{ command_uuid: string }>()
    await send(device, '/mdm', REPORT, bodies.idle)
    const answer = encodePlist({ UDID: udid, Status: 'Acknowledged', CommandUUID: uuid, ProfileList: [] })
    await send(device, '/mdm', REPORT, answer)

    const all = await told(udid)
    const text = all.map(({ body, event }) => body.toString().replace(event.created_at, 'NOW').replace(event.event_id, 'ID'))
    const ids = `"ids":{"id":"${udid}","type":"Device"}`
    expect(text).toEqual([
      `{"checkin_event":{${ids},"raw_payload":"${bodies.authenticate.toString('base64')}","udid":"${udid}","url_params":{"a":"","b":"1","group":"staff"}},"created_at":"NOW","event_id":"ID","topic":"mdm.Authenticate"}`,
      `{"checkin_event":{${ids},"raw_payload":"${bodies.tokenUpdate.toString('base64')}","token_update_tally":1,"udid":"${udid}"},"created_at":"NOW","event_id":"ID","topic":"mdm.TokenUpdate"}`,
      `{"acknowledge_event":{${ids},"raw_payload":"${bodies.idle.toString('base64')}","status":"Idle","udid":"${udid}","url_params":{"group":"staff"}},"created_at":"NOW","event_id":"ID","topic":"mdm.Connect"}`,
      `{"acknowledge_event":{${ids},"raw_payload":"${bodies.idle.toString('base64')}","status":"Idle","udid":"${udid}"},"created_at":"NOW","event_id":"ID","topic":"mdm.Connect"}`,
      `{"acknowledge_event":{"command_uuid":"${uuid}",${ids},"raw_payload":"${answer.toString('base64')}","status":"Acknowledged","udid":"${udid}"},"created_at":"NOW","event_id":"ID","topic":"mdm.Connect"}`,
    ])
    for (const { event } of all) expect([event.created_at, event.event_id]).toEqual([expect.stringMatching(INSTANT), expect.stringMatching(EVENT_ID)])
    expect(new Set(all.map(({ event }) => event.event_id)).size).toBe(all.length)
  })

  it('is posted as JSON, signed over the very bytes', async () => {
    const device = await enrolledDevice(server, newUdid())
    const [one] = await told(device.udid)
    expect([one!.method, one!.path, one!.headers['content-type']]).toEqual(['POST', '/hook', 'application/json; charset=utf-8'])
    expect(one!.headers['x-hmac-signature']).toBe(createHmac('sha256', HMAC_KEY).update(one!.body).digest('base64'))
  })

  it('names users of a Mac and of a Shared iPad with their device as parent', async () => {
    const device = await enrolledDevice(server, newUdid())
    await device.tokenUpdate({ UserID: 'ABCDEF01-0000-4000-8000-000000000001', UserShortName: 'ann' })
    await device.tokenUpdate({ UserID: 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', UserShortName: 'bob@example.edu' })
    await device.report({ Status: 'Idle', UserID: 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', UserShortName: 'bob@example.edu' })
    const [, , mac, shared, idle] = (await told(device.udid)).map(({ event }) => event)
    expect(mac?.checkin_event).toMatchObject({
      ids: { id: `${device.udid}:ABCDEF01-0000-4000-8000-000000000001`, parent_id: device.udid, type: 'User' }, token_update_tally: 1, udid: device.udid,
    })
    const pad = { id: `${device.udid}:bob@example.edu`, parent_id: device.udid, type: 'Shared iPad' }
    expect(shared?.checkin_event).toMatchObject({ ids: pad, token_update_tally: 1 })
    expect(idle?.acknowledge_event).toMatchObject({ ids: pad, status: 'Idle' })
  })

  it('names a personal enrollment by its EnrollmentID, without a UDID', async () => {
    const id = 'B1C0A7E4-3D52-49F0-8A6B-77D0E1F2A3B4'
    const device = rawDevice(server, id, (await obtainIdentity(server, await server.link())).identity)
    const own = { UDID: undefined, EnrollmentID: id }
    await device.authenticate(own)
    await device.tokenUpdate(own)
    await device.tokenUpdate({ ...own, EnrollmentUserID: 'U-1' })
    const [authenticate, , user] = (await told(id)).map(({ event }) => event.checkin_event)
    expect(authenticate).toMatchObject({ enrollment_id: id, ids: { id, type: 'User Enrollment (Device)' } })
    expect(authenticate).not.toHaveProperty('udid')
    expect(user).toMatchObject({ ids: { id: `${id}:U-1`, parent_id: id, type: 'User Enrollment' }, token_update_tally: 1 })
  })

  it('comes for a poll with nothing to do', async () => {
    const device = await enrolledDevice(server, newUdid())
    await server.db.query('delete from push_wakes')
    for (let count = 0; count < 3; count++) expect(await device.idle()).toBeUndefined()
    expect(topics(await told(device.udid)).slice(2)).toEqual(['mdm.Connect', 'mdm.Connect', 'mdm.Connect'])
  })

  it('comes for every accepted message', async () => {
    const device = await enrolledDevice(server, newUdid())
    await device.checkin({ MessageType: 'SetBootstrapToken', BootstrapToken: Buffer.from('secret') })
    await device.checkin({ MessageType: 'GetBootstrapToken' })
    await device.checkin({ MessageType: 'DeclarativeManagement', Endpoint: 'tokens' })
    await device.report({ Status: 'NotNow', CommandUUID: 'nobody sent this' })
    await device.checkin({ MessageType: 'CheckOut' })
    expect(topics(await told(device.udid))).toEqual([
      'mdm.Authenticate', 'mdm.TokenUpdate', 'mdm.SetBootstrapToken', 'mdm.GetBootstrapToken', 'mdm.DeclarativeManagement', 'mdm.Connect', 'mdm.CheckOut',
    ])
  })
})

describe('token_update_tally', () => {
  it('is 1 for an enrollment, counts on, and begins again when the device does', async () => {
    const device = await enrolledDevice(server, newUdid())
    const user = { UserID: 'ABCDEF01-0000-4000-8000-000000000002' }
    const tally = async () => (await server.db.query<{ tally: number }>(
      `select token_update_tally as tally from enrollments where device_key = $1 order by id`, [device.udid])).map((row) => row.tally)
    await device.tokenUpdate()
    await device.tokenUpdate(user)
    expect(await tally()).toEqual([2, 1])
    await device.authenticate()
    expect(await tally()).toEqual([0, 0])
    await device.tokenUpdate()
    await device.tokenUpdate(user)
    await device.checkin({ MessageType: 'CheckOut', ...user })
    expect(await tally()).toEqual([1, 0])
    await device.checkin({ MessageType: 'CheckOut' })
    expect(await tally()).toEqual([0, 0])
    const all = (await told(device.udid)).filter(({ event }) => event.topic === 'mdm.TokenUpdate')
    expect(all.map(({ event }) => event.checkin_event?.['token_update_tally'])).toEqual([1, 2, 1, 1, 1])
  })
})

describe('what is not told', () => {
  it('a refused message', async () => {
    const device = await enrolledDevice(server, newUdid())
    await told(device.udid)
    const before = await dumpTables(server.db, new Set(['enrollment_sightings', 'push_wakes', 'pushes']))
    expect((await device.checkin({ MessageType: 'GetToken', TokenServiceType: 'com.apple.maid' })).status).toBe(400)
    expect((await device.checkin({ MessageType: 'UserAuthenticate', UserID: 'U-1' })).status).toBe(410)
    expect((await device.checkin({ MessageType: 'DeclarativeManagement', Endpoint: 'declaration/configuration/x' })).status).toBe(404)
    expect((await device.checkin({ MessageType: 'TokenUpdate', Token: Buffer.alloc(32), PushMagic: 'M', Topic: 'com.apple.mgmt.other' })).status).toBe(400)
    expect(await dumpTables(server.db, new Set(['enrollment_sightings', 'push_wakes', 'pushes']))).toEqual(before)
  })

  it('a held newcomer, who would look like the device that is enrolled; once approved, its TokenUpdate is the first', async () => {
    const old = await enrolledDevice(server, newUdid())
    const known = (await told(old.udid)).length
    const held = rawDevice(server, old.udid, (await obtainIdentity(server, await server.link())).identity)
    await held.authenticate()
    await held.tokenUpdate()
    await held.report({ Status: 'Idle' })
    expect(await told(old.udid)).toHaveLength(known)
    expect((await server.api('POST', `/devices/${old.udid}/enrollment/approve`)).status).toBe(200)
    await held.tokenUpdate()
    expect((await told(old.udid)).at(-1)?.event.checkin_event).toMatchObject({ token_update_tally: 1 })
  })
})

describe('the outbox', () => {
  it('holds bodies sealed, until they are accepted', async () => {
    let fail = true
    receiver.answer(() => (fail ? 500 : 200))
    const device = await enrolledDevice(server, newUdid())
    const [row] = await server.db.query<{ sealed_body: Buffer }>('select sealed_body from webhook_events where stream = $1', [device.udid])
    expect(row?.sealed_body.includes(Buffer.from(device.udid))).toBe(false)
    fail = false
    await hurry(device.udid)
    await told(device.udid)
  })

  it('is told in order: a later event waits while an earlier one fails, whatever the failure; other devices go on', async () => {
    const [device, other] = [await enrolledDevice(server, newUdid()), await enrolledDevice(server, newUdid())]
    await told(device.udid)
    let tries = 0
    const failures = [500, 404, 302, 503]
    receiver.answer((one) => (one.device === device.udid ? (failures[tries++] ?? 200) : 200))
    for (let count = 0; count < 3; count++) await device.tokenUpdate()
    await other.tokenUpdate()
    await told(other.udid)
    for (let count = 1; count <= failures.length; count++) {
      await until(async () => tries >= count && (await server.db.query('select 1 from webhook_events where stream = $1 and ticket is not null', [device.udid])).length === 0, 'a try')
      await hurry(device.udid)
    }
    const all = await told(device.udid)
    expect(all.slice(-3).map(({ event }) => event.checkin_event?.['token_update_tally'])).toEqual([2, 3, 4])
    const tried = receiver.received.filter((one) => one.device === device.udid).slice(-7)
    expect(tried.map(({ status }) => status)).toEqual([...failures, 200, 200, 200])
    expect(new Set(tried.slice(0, 5).map(({ event }) => event.event_id)).size).toBe(1)
    expect(receiver.received.filter(({ path }) => path !== '/hook')).toEqual([])
  })

  it.each([
    ['500', '61 minutes', 'given up'], ['400', '61 minutes', 'given up'], ['500', '59 minutes', 'kept'],
    ['503', '61 minutes', 'kept'], ['429', '23 hours', 'kept'], ['503', '25 hours', 'given up'],
  ])('an event answered %s for %s is %s', async (status, age, fate) => {
    const device = await enrolledDevice(server, newUdid())
    await told(device.udid)
    let gate: () => void = () => undefined
    const opened = new Promise<void>((resolve) => (gate = resolve))
    let first: string | undefined
    receiver.answer(async ({ event }) => {
      first ??= event.event_id
      await opened
      return event.event_id === first ? Number(status) : 200
    })
    await device.tokenUpdate()
    await until(async () => first, 'the first try')
    await device.tokenUpdate()
    await server.db.query(`update webhook_events set created_at = now() - $2::interval where id = $1`, [first, age])
    gate()
    const line = () => server.logs.find((one) => one['event'] === first && one['msg'] === (fate === 'kept' ? 'webhook_failed' : 'webhook_given_up'))
    await until(async () => line(), 'the log line')
    expect(line()).toMatchObject({ device: device.udid, reason: `status ${status}`, attempts: 1 })
    if (fate === 'kept') expect((await waiting(device.udid)).map(({ id }) => id)).toContain(first)
    receiver.answer(() => 200)
    await hurry(device.udid)
    const ids = (await told(device.udid)).map(({ event }) => event.event_id)
    expect(ids.includes(first!)).toBe(fate === 'kept')
    expect(ids).toHaveLength(fate === 'kept' ? 4 : 3)
  })

  it('is told in order by two processes at once, while the receiver fails at random', async () => {
    const beside = await startBramley({ beside: server, settings: { BRAMLEY_WEBHOOK_URL: receiver.url } })
    const devices = await Promise.all([1, 2, 3, 4].map(() => enrolledDevice(server, newUdid())))
    await Promise.all(devices.map(({ udid }) => told(udid)))
    let turn = 0
    receiver.answer(() => new Promise((resolve) => setImmediate(() => resolve(turn++ % 3 === 0 ? 503 : 200))))
    await Promise.all(devices.map(async (device) => {
      const there = rawDevice(beside, device.udid, device.identity)
      for (let count = 2; count <= 11; count++) await (count % 2 === 0 ? device : there).tokenUpdate()
    }))
    await until(async () => {
      await server.db.query('update webhook_events set due_at = now() where ticket is null')
      return (await server.db.query('select 1 from webhook_events')).length === 0
    }, 'everything to be told')
    for (const { udid } of devices) {
      const tallies = receiver.accepted(udid).slice(1).map(({ event }) => event.checkin_event?.['token_update_tally'])
      expect(tallies).toEqual(Array.from({ length: 11 }, (_, index) => index + 1))
    }
    expect(receiver.overlaps).toEqual([])
    await beside.stop()
  })

  it('counts what became of each try', async () => {
    const text = await registry.metrics()
    for (const result of ['accepted', 'refused', 'away', 'given_up']) expect(text).toMatch(new RegExp(`bramley_webhook_events_total\\{result="${result}"\\} [1-9]`))
  })

  it('forgets what nobody delivers', async () => {
    await server.db.query(`insert into webhook_events (id, stream, sealed_body, created_at, due_at) values ('old', 'S', '', now() - interval '4 days', 'infinity'), ('new', 'S', '', now(), 'infinity')`)
    await server.restart()
    await until(async () => (await server.db.query(`select 1 from webhook_events where id = 'old'`)).length === 0, 'the sweep')
    expect(await server.db.query(`delete from webhook_events where id = 'new' returning id`)).toEqual([{ id: 'new' }])
  })
})

describe('a process that is killed while it tells', () => {
  beforeAll(() => ensureBuilt())

  it('loses nothing: the event is told again by another one', async () => {
    const db = await freshDatabase()
    const dataFolder = mkdtempSync(join(inject('runFolder'), 'killed-'))
    const hung = await startReceiver()
    const vault = openVault(readSecretKey(join(dataFolder, 'secret.key')).key)
    const start = () => startServer({ databaseUrl: db.url, dataFolder, env: { BRAMLEY_WEBHOOK_URL: hung.url } })
    const came = new Promise<void>((resolve) => hung.answer(() => new Promise(() => resolve())))
    const first = await start()
    const channel = { deviceKey: 'DEVICE-1', deviceKeyKind: 'udid', channel: 'device', userKey: '' } as const
    const row = webhookRow({ config: { webhook: { url: new URL(hung.url) } } as Config, vault }, {
      message: { kind: 'report', channel, status: 'Idle' }, raw: Buffer.from('x'), urlParams: {}, at: new Date(),
    })!
    await db.query('insert into webhook_events (id, stream, sealed_body) values ($1, $2, $3)', [row.id, row.stream, row.sealedBody])
    await came
    first.kill('SIGKILL')
    await first.exited
    expect(await db.query('select id, ticket is not null as taken from webhook_events')).toEqual([{ id: row.id, taken: true }])
    hung.answer(() => 200)
    const second = await start()
    // Its lease ends by the database's clock.
    await db.query(`update webhook_events set leased_until = now() - interval '1 second'`)
    await until(async () => (await db.query('select 1 from webhook_events')).length === 0, 'the event to be told')
    expect(hung.accepted('DEVICE-1').map(({ event }) => event.event_id)).toEqual([row.id])
    second.kill('SIGTERM')
    await second.exited
    await hung.close()
    await db.drop()
  })
})

describe('without a webhook', () => {
  it('nothing is written, and a quiet poll stays quiet', async () => {
    const other = await startBramley()
    const device = await enrolledDevice(other, newUdid())
    const { command_uuid: uuid } = (await other.api('POST', `/devices/${device.udid}/commands`, { type: 'ProfileList' })).json<{ command_uuid: string }>()
    expect(uuidOf((await device.idle())!)).toBe(uuid)
    expect(await other.db.query('select 1 from webhook_events')).toEqual([])
    await other.stop()
  })
})
