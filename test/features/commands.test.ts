import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodePlist } from '../../src/apple/wire/plist-writer.ts'
import { dumpTables, startBramley, until, type TestServer } from '../support/bramley.ts'
import { enrolledDevice, rawDevice, obtainIdentity, type RawDevice } from '../support/raw-device.ts'

let server: TestServer
beforeAll(async () => {
  server = await startBramley()
})
afterAll(() => server.stop())

let number = 0
const newUdid = () => `00008120-${String(++number).padStart(12, '0')}`

interface Command {
  id: string
  state: string
  command_uuid: string
  timeline: { state: string; count?: number }[]
  result: Record<string, unknown> | null
  error_chain: { error_code: number }[] | null
  deduplicated: boolean
  next_push_at: string | null
}

async function queue(device: RawDevice, body: object): Promise<Command> {
  const answer = await server.api('POST', `/devices/${device.udid}/commands`, body)
  expect(answer.body.toString()).toContain('"id"')
  return answer.json<Command>()
}

const read = async (id: string) => (await server.api('GET', `/commands/${id}`)).json<Command>()
const profileList = { type: 'ProfileList' }
const securityInfo = { type: 'SecurityInfo' }

describe('the queue', () => {
  it('hands commands out one at a time, in the order in which they were queued', async () => {
    const device = await enrolledDevice(server, newUdid())
    const first = await queue(device, profileList)
    const second = await queue(device, securityInfo)
    const one = await device.idle()
    expect(one?.['CommandUUID']).toBe(first.command_uuid)
    expect(one?.['Command']).toMatchObject({ RequestType: 'ProfileList' })
    const two = await device.acknowledge(one!, { ProfileList: [] })
    expect(two?.['CommandUUID']).toBe(second.command_uuid)
    expect(await device.acknowledge(two!, { SecurityInfo: { PasscodePresent: true } })).toBeUndefined()
    expect(await device.idle()).toBeUndefined()
    const ended = await read(second.id)
    expect(ended.state).toBe('acknowledged')
    expect(ended.result).toMatchObject({ SecurityInfo: { PasscodePresent: true } })
    expect(ended.timeline.map((entry) => entry.state).filter((state) => !state.startsWith('push'))).toEqual(['queued', 'delivered', 'acknowledged'])
  })

  it('hands out a command again until the device answers it', async () => {
    const device = await enrolledDevice(server, newUdid())
    const { command_uuid, id } = await queue(device, profileList)
    expect((await device.idle())?.['CommandUUID']).toBe(command_uuid)
    expect((await device.idle())?.['CommandUUID']).toBe(command_uuid)
    expect((await read(id)).timeline.find((entry) => entry.state === 'delivered')?.count).toBe(2)
  })

  it('holds a command answered NotNow back in that conversation and offers it at its old place from the next Idle on', async () => {
    const device = await enrolledDevice(server, newUdid())
    const [a, b, c] = [await queue(device, profileList), await queue(device, securityInfo), await queue(device, { type: 'CertificateList' })]
    const first = await device.idle()
    expect(first?.['CommandUUID']).toBe(a.command_uuid)
    const afterNotNow = await device.report({ Status: 'NotNow', CommandUUID: a.command_uuid })
    expect(afterNotNow.body.toString()).toContain(b.command_uuid)
    const afterB = await device.report({ Status: 'Acknowledged', CommandUUID: b.command_uuid, SecurityInfo: {} })
    expect(afterB.body.toString()).toContain(c.command_uuid)
    const afterC = await device.report({ Status: 'NotNow', CommandUUID: c.command_uuid })
    expect(afterC.body).toHaveLength(0)
    const waiting = await read(a.id)
    expect(waiting).toMatchObject({ state: 'not_now' })
    expect(waiting.next_push_at).not.toBeNull()
    const again = await device.idle()
    expect(again?.['CommandUUID']).toBe(a.command_uuid)
    expect((await device.acknowledge(again!, { ProfileList: [] }))?.['CommandUUID']).toBe(c.command_uuid)
  })

  it('ends a command once: the first terminal answer stands, a repeated or late one changes nothing and gets the next command', async () => {
    const device = await enrolledDevice(server, newUdid())
    const a = await queue(device, profileList)
    const b = await queue(device, securityInfo)
    await device.idle()
    const failed = { Status: 'Error', CommandUUID: a.command_uuid, ErrorChain: [{ ErrorCode: 12021, ErrorDomain: 'MCMDMErrorDomain', LocalizedDescription: 'no' }] }
    expect((await device.report(failed)).body.toString()).toContain(b.command_uuid)
    const before = await dumpTables(server.db, new Set(['enrollment_sightings', 'commands', 'push_wakes', 'events', 'pushes', 'enrollments']))
    const late = await device.report({ Status: 'Acknowledged', CommandUUID: a.command_uuid, ProfileList: [] })
    expect(late.status).toBe(200)
    expect(late.body.toString()).toContain(b.command_uuid)
    expect(await dumpTables(server.db, new Set(['enrollment_sightings', 'commands', 'push_wakes', 'events', 'pushes', 'enrollments']))).toEqual(before)
    expect(await read(a.id)).toMatchObject({ state: 'error', error_chain: [{ error_code: 12021 }] })
    expect(server.logs.some((line) => line['msg'] === 'report_ignored' && line['reason'] === 'no_open_command')).toBe(true)
  })

  it('never lets one device end another one’s command', async () => {
    const [a, b] = [await enrolledDevice(server, newUdid()), await enrolledDevice(server, newUdid())]
    const ofA = await queue(a, profileList)
    const ofB = await queue(b, securityInfo)
    const answer = await b.report({ Status: 'Acknowledged', CommandUUID: ofA.command_uuid })
    expect(answer.status).toBe(200)
    expect(answer.body.toString()).toContain(ofB.command_uuid)
    expect((await read(ofA.id)).state).not.toBe('acknowledged')
    expect((await a.idle())?.['CommandUUID']).toBe(ofA.command_uuid)
  })

  it('keeps a raw plist byte for byte', async () => {
    const device = await enrolledDevice(server, newUdid())
    const raw = Buffer.from(encodePlist({ CommandUUID: 'my-own-1', Command: { RequestType: 'ProfileList' } }).toString().replaceAll('\t', '   '))
    const answer = await server.http('PUT', `/api/v1/devices/${device.udid}/commands`, { headers: { authorization: 'Bearer test-key-0123456789-0123456789-0123456789' }, body: raw })
    expect(answer.status).toBe(202)
    const handed = await device.report({ Status: 'Idle' })
    expect(handed.body).toEqual(raw)
    expect(handed.headers['content-type']).toBe('application/xml; charset=utf-8')
    const twice = await server.http('PUT', `/api/v1/devices/${device.udid}/commands`, { headers: { authorization: 'Bearer test-key-0123456789-0123456789-0123456789' }, body: raw })
    expect(twice.status).toBe(409)
    expect(twice.json()).toMatchObject({ code: 'command_uuid_taken' })
  })

  it('asks the same question once while the device has not fetched it', async () => {
    const device = await enrolledDevice(server, newUdid())
    const first = await server.api('POST', `/devices/${device.udid}/commands`, { type: 'DeviceInformation', params: { Queries: ['DeviceName', 'OSVersion'] } })
    const second = await server.api('POST', `/devices/${device.udid}/commands`, { RequestType: 'DeviceInformation', Queries: ['DeviceName', 'OSVersion'] })
    const other = await server.api('POST', `/devices/${device.udid}/commands`, { type: 'DeviceInformation', params: { Queries: ['DeviceName'] } })
    expect([first.status, second.status, other.status]).toEqual([202, 200, 202])
    expect(second.json<Command>()).toMatchObject({ id: first.json<Command>().id, deduplicated: true })
  })

  it('lets a newer installation of a profile supersede an undelivered older one, which names its successor', async () => {
    const device = await enrolledDevice(server, newUdid())
    const profile = (text: string) => ({ $data: encodePlist({ PayloadType: 'Configuration', PayloadIdentifier: 'com.example.wifi', PayloadDescription: text }).toString('base64') })
    const older = await queue(device, { type: 'InstallProfile', params: { Payload: profile('one') } })
    const newer = await queue(device, { type: 'InstallProfile', params: { Payload: profile('two') } })
    expect(await read(older.id)).toMatchObject({ state: 'superseded', state_detail: `replaced by ${newer.id}` })
    expect((await device.idle())?.['CommandUUID']).toBe(newer.command_uuid)
    const newest = await queue(device, { type: 'InstallProfile', params: { Payload: profile('three') } })
    expect((await read(newer.id)).state).toBe('delivered')
    expect((await read(newest.id)).state).not.toBe('superseded')
  })

  it('withdraws a command for good, unless the device has it in hand', async () => {
    const device = await enrolledDevice(server, newUdid())
    const [a, b] = [await queue(device, profileList), await queue(device, securityInfo)]
    await device.idle()
    expect((await server.api('POST', `/commands/${a.id}/cancel`)).json()).toMatchObject({ code: 'already_delivered', status: 409 })
    expect((await server.api('POST', `/commands/${b.id}/cancel`)).json()).toMatchObject({ state: 'cancelled' })
    expect((await server.api('POST', `/commands/${b.id}/cancel`)).json()).toMatchObject({ code: 'command_ended', status: 409 })
    const answer = await device.report({ Status: 'Acknowledged', CommandUUID: a.command_uuid, ProfileList: [] })
    expect(answer.body).toHaveLength(0)
  })

  it('delivers nothing after its time, and nothing before it', async () => {
    const device = await enrolledDevice(server, newUdid())
    const dies = await queue(device, { ...profileList, expires_in: '1h' })
    const later = await queue(device, { ...securityInfo, not_before: new Date(Date.now() + 3_600_000).toISOString() })
    await server.db.query(`update commands set expires_at = now() - interval '1 second' where id = $1`, [dies.id])
    expect(await device.idle()).toBeUndefined()
    expect((await read(dies.id)).state).toBe('expired')
    expect((await server.db.query('select state from commands where id = $1', [later.id]))[0]).toEqual({ state: 'queued' })
    await server.db.query(`update commands set not_before = now() where id = $1`, [later.id])
    expect((await device.idle())?.['CommandUUID']).toBe(later.command_uuid)
  })

  it('supersedes what waits when the device begins again or leaves', async () => {
    const device = await enrolledDevice(server, newUdid())
    const waiting = await queue(device, profileList)
    expect((await device.authenticate()).status).toBe(200)
    expect(await read(waiting.id)).toMatchObject({ state: 'superseded', state_detail: 're-enrolled' })
    expect((await device.report({ Status: 'Idle' })).body).toHaveLength(0)
    await device.tokenUpdate()
    const second = await queue(device, profileList)
    expect((await device.checkin({ MessageType: 'CheckOut' })).status).toBe(200)
    expect(await read(second.id)).toMatchObject({ state: 'superseded', state_detail: 'checked_out' })
    expect((await device.report({ Status: 'Idle' })).status).toBe(400)
    const refused = await server.api('POST', `/devices/${device.udid}/commands`, profileList)
    expect(refused.json()).toMatchObject({ code: 'device_unenrolled', status: 410 })
  })

  it('gives no command to a device that has not sent its token yet', async () => {
    const { identity } = await obtainIdentity(server, await server.link())
    const device = rawDevice(server, newUdid(), identity)
    await device.authenticate()
    expect((await device.report({ Status: 'Idle' })).status).toBe(200)
    expect((await server.api('POST', `/devices/${device.udid}/commands`, profileList)).status).toBe(410)
  })

  it('puts the entrusted UnlockToken into a ClearPasscode that brings none, and refuses one where there is none', async () => {
    const device = await enrolledDevice(server, newUdid(), { token: { UnlockToken: Buffer.from('the token of this device') } })
    const queued = await server.api('POST', `/devices/${device.udid}/commands`, { type: 'ClearPasscode' })
    expect([queued.status, queued.body.toString().includes('token of this')]).toEqual([202, false])
    expect((await device.idle())?.['Command']).toMatchObject({ RequestType: 'ClearPasscode', UnlockToken: Buffer.from('the token of this device') })
    const without = await enrolledDevice(server, newUdid())
    const refused = await server.api('POST', `/devices/${without.udid}/commands`, { type: 'ClearPasscode' })
    expect(refused.json()).toMatchObject({ status: 422, errors: [{ pointer: '/params/UnlockToken', code: 'missing_key' }] })
    expect(await server.db.query(`select 1 from commands c join enrollments e on e.id = c.enrollment_id where e.device_key = $1`, [without.udid])).toEqual([])
  })

  it('refuses what this device can never do before anything is queued, and records who overrides that', async () => {
    const device = await enrolledDevice(server, newUdid(), { link: await server.link({ access_rights: 3 }) })
    const refusals = [{ type: 'EraseDevice' }, { type: 'NoSuchCommand' }, { type: 'ProfileList', params: 7 }, { type: 'InstallProfile' }, { RequestType: 'SecurityInfo' }]
    const answers = await Promise.all(refusals.map((body) => server.api('POST', `/devices/${device.udid}/commands`, body)))
    expect(answers.map((answer) => [answer.status, answer.json<{ code: string }>().code])).toEqual([
      [422, 'not_supported_by_device'], [422, 'not_supported_by_device'], [422, 'validation_failed'], [422, 'not_supported_by_device'], [422, 'not_supported_by_device'],
    ])
    expect(answers[0]?.json()).toMatchObject({ requires: 'access_right' })
    expect(await server.db.query(`select 1 from commands c join enrollments e on e.id = c.enrollment_id where e.device_key = $1`, [device.udid])).toEqual([])
    const forced = await server.api('POST', `/devices/${device.udid}/commands`, { type: 'SecurityInfo', force: true })
    expect(forced.status).toBe(202)
    expect(await server.db.query(`select data->'forced' as forced from events where data->>'command' = $1`, [forced.json<{ id: string }>().id])).toEqual([{ forced: true }])
  })

  it('asks for actions:destructive besides commands:raw where data or the phone can be lost', async () => {
    const device = await enrolledDevice(server, newUdid())
    const key = (await server.api('POST', '/api-keys', { name: 'raw only', scopes: ['commands:raw', 'devices:read'] })).json<{ token: string }>()
    const ask = (method: string, body: string | Buffer, headers = {}) => server.http(method, `/api/v1/devices/${device.udid}/commands`, { headers: { authorization: `Bearer ${key.token}`, ...headers }, body })
    const json = await ask('POST', JSON.stringify({ type: 'EraseDevice' }), { 'content-type': 'application/json' })
    const plist = await ask('PUT', encodePlist({ CommandUUID: 'x', Command: { RequestType: 'EraseDevice' } }))
    expect([json.status, plist.status]).toEqual([403, 403])
    expect(plist.json()).toMatchObject({ code: 'missing_scope' })
    expect((await ask('PUT', encodePlist({ RequestType: 'ProfileList' }))).status).toBe(202)
  })

  it('stores bodies and answers sealed: no secret of a command is in the database in clear', async () => {
    const device = await enrolledDevice(server, newUdid(), { token: { UnlockToken: Buffer.from('unlock-me-4711-unlock-me-4711') } })
    await queue(device, { type: 'InstallProfile', params: { Payload: { $data: Buffer.from('<plist>wifi-password-4712</plist>').toString('base64') } } })
    const command = await device.idle()
    await device.acknowledge(command!, { ActivationLockBypassCode: 'bypass-code-4713' })
    const dump = JSON.stringify(await dumpTables(server.db, new Set()))
    for (const secret of ['unlock-me-4711', 'wifi-password-4712', 'bypass-code-4713']) {
      for (const form of [secret, Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64').slice(0, 16)]) expect(dump).not.toContain(form)
    }
    const raw = await server.api('GET', `/commands/${(await server.api('GET', `/devices/${device.udid}/commands`)).json<{ data: Command[] }>().data[0]?.id}/response.plist`)
    expect(raw.body.toString()).toContain('bypass-code-4713')
  })
})

describe('learning from answers', () => {
  it('shows what DeviceInformation told on the device', async () => {
    const device = await enrolledDevice(server, newUdid())
    await queue(device, { type: 'DeviceInformation', params: { Queries: ['DeviceName'] } })
    const command = await device.idle()
    await device.acknowledge(command!, { QueryResponses: { DeviceName: 'Reception <1>', BatteryLevel: 0.81, IsSupervised: false, OSVersion: '18.1', SerialNumber: 'F2LX9K7QN70R' } })
    const shown = await until(async () => {
      const answer = (await server.api('GET', `/devices/${device.udid.toLowerCase()}`)).json<Record<string, unknown>>()
      return answer['name'] === null ? false : answer
    }, 'the inventory')
    expect(shown).toMatchObject({ name: 'Reception <1>', battery_percent: 81, supervised: false, os_version: '18.1', serial_number: 'F2LX9K7QN70R' })
  })
})
