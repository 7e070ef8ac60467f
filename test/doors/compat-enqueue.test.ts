import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { encodeCommand } from '../../src/apple/wire/command.ts'
import { encodePlist } from '../../src/apple/wire/plist-writer.ts'
import { startBramley, type TestServer } from '../support/bramley.ts'
import { APNS_ID, basic, call, command, keyWith, queued, resultOf } from '../support/compat.ts'
import { enrolledDevice, REPORT, uuidOf, type RawDevice } from '../support/raw-device.ts'

let server: TestServer
let first: RawDevice
let second: RawDevice
beforeAll(async () => {
  server = await startBramley()
  first = await enrolledDevice(server, '00008150-00000000000A')
  second = await enrolledDevice(server, '00008150-00000000000B')
})
afterAll(() => server.stop())
// The pushes that follow enrolling would be counted here and eat the faults that a test asks for.
beforeEach(() => server.db.query('delete from push_wakes'))

describe('/v1/enqueue', () => {
  it('queues, pushes once, and hands out the very bytes', async () => {
    const uuid = randomUUID()
    const bytes = Buffer.from(command(uuid).toString().replace('<dict>', '<dict><!-- as it came -->'))
    const before = server.apns.received.length
    const answer = await call(server, 'PUT', `/v1/enqueue/${first.udid}`, bytes)
    expect(answer.status).toBe(200)
    expect(resultOf(answer)).toEqual({
      status: { [first.udid]: { push_result: expect.stringMatching(APNS_ID) } }, command_uuid: uuid, request_type: 'ProfileList',
    })
    expect(server.apns.received.length - before).toBe(1)
    const handed = await first.put(encodePlist({ UDID: first.udid, Status: 'Idle' }), REPORT)
    expect(handed.body.equals(bytes)).toBe(true)
    await first.report({ Status: 'Acknowledged', CommandUUID: uuid, ProfileList: [] })
  })

  it.each(['1', '0', 'yes'])('with nopush=%s it only queues', async (value) => {
    const uuid = randomUUID()
    const before = server.apns.received.length
    const answer = await call(server, 'PUT', `/v1/enqueue/${first.udid}?nopush=${value}`, command(uuid))
    expect(answer.status).toBe(200)
    expect(resultOf(answer)).toEqual({ no_push: true, command_uuid: uuid, request_type: 'ProfileList' })
    expect(await queued(server, first.udid)).toContain(uuid)
    expect(server.apns.received.length).toBe(before)
    expect(await server.db.query('select 1 from push_wakes')).toEqual([])
  })

  it('an empty nopush does not suppress the push', async () => {
    const answer = await call(server, 'PUT', `/v1/enqueue/${first.udid}?nopush=`, command())
    expect(resultOf(answer).status?.[first.udid]?.push_result).toMatch(APNS_ID)
    expect(resultOf(answer)).not.toHaveProperty('no_push')
  })

  it('gives all ids of a call the same CommandUUID and stores the body once', async () => {
    const uuid = randomUUID()
    const answer = await call(server, 'PUT', `/v1/enqueue/${first.udid},${second.udid}?nopush=1`, command(uuid))
    expect(answer.status).toBe(200)
    const rows = await server.db.query<{ body_id: number }>('select body_id from commands where command_uuid = $1', [uuid])
    expect(rows).toHaveLength(2)
    expect(new Set(rows.map((row) => row.body_id)).size).toBe(1)
  })

  it('answers 207 when some pushes failed and 500 when all did; the command is queued all the same', async () => {
    const uuid = randomUUID()
    server.apns.answerNext(429, { reason: 'TooManyRequests' })
    const some = await call(server, 'PUT', `/v1/enqueue/${first.udid},${second.udid}`, command(uuid))
    expect(some.status).toBe(207)
    expect(Object.values(resultOf(some).status ?? {}).filter((one) => one.push_error !== undefined)).toHaveLength(1)
    server.apns.answerNext(429, { reason: 'TooManyRequests' })
    const all = randomUUID()
    expect((await call(server, 'PUT', `/v1/enqueue/${first.udid}`, command(all))).status).toBe(500)
    expect(await queued(server, first.udid)).toEqual(expect.arrayContaining([uuid, all]))
  })

  it.each([
    ['no plist', Buffer.from('hello')],
    ['no CommandUUID', encodePlist({ Command: { RequestType: 'ProfileList' } })],
    ['no RequestType', encodePlist({ CommandUUID: 'A-1', Command: {} })],
    ['no Command', encodePlist({ CommandUUID: 'A-1' })],
    ['an empty CommandUUID', encodePlist({ CommandUUID: '', Command: { RequestType: 'ProfileList' } })],
    ['a CommandUUID that is a number', encodePlist({ CommandUUID: 7, Command: { RequestType: 'ProfileList' } })],
    ['a CommandUUID no device could answer with', encodePlist({ CommandUUID: 'ä', Command: { RequestType: 'ProfileList' } })],
    ['a Command that is text', encodePlist({ CommandUUID: 'A-1', Command: 'ProfileList' })],
    ['a binary plist', readFileSync(new URL('../fixtures/apple/samples/hostile/20-binary-plist.plist', import.meta.url))],
  ])('refuses a body with %s by 500 and a string', async (_what, body) => {
    const answer = await call(server, 'PUT', `/v1/enqueue/${first.udid}`, body)
    expect(answer.status).toBe(500)
    expect(Object.keys(resultOf(answer))).toEqual(['command_error'])
    expect(resultOf(answer).command_error).toMatch(/^decoding command: ./)
  })

  it('refuses a CommandUUID that was used for another command', async () => {
    const uuid = randomUUID()
    await call(server, 'PUT', `/v1/enqueue/${first.udid}?nopush=1`, command(uuid))
    const answer = await call(server, 'PUT', `/v1/enqueue/${first.udid}?nopush=1`, command(uuid, 'SecurityInfo'))
    expect(answer.status).toBe(500)
    expect(resultOf(answer).status?.[first.udid]?.command_error).toContain('used before')
    expect((await queued(server, first.udid)).filter((one) => one === uuid)).toHaveLength(1)
  })

  it('takes the same post again without a second command, also after the answer', async () => {
    const device = await enrolledDevice(server, '00008150-00000000000E')
    const bytes = command()
    const post = () => call(server, 'PUT', `/v1/enqueue/${device.udid}?nopush=1`, bytes)
    expect([(await post()).status, (await post()).status]).toEqual([200, 200])
    const handed = await device.idle()
    expect(await device.acknowledge(handed!, { ProfileList: [] })).toBeUndefined()
    expect((await post()).status).toBe(200)
    expect(await device.idle()).toBeUndefined()
  })

  it('does not take a command again that was withdrawn, and says so', async () => {
    const bytes = command()
    const uuid = resultOf(await call(server, 'PUT', `/v1/enqueue/${first.udid}?nopush=1`, bytes)).command_uuid
    const [row] = await server.db.query<{ id: string }>('select id from commands where command_uuid = $1', [uuid])
    expect((await server.api('POST', `/commands/${row!.id}/cancel`)).status).toBe(200)
    const again = await call(server, 'PUT', `/v1/enqueue/${first.udid},${second.udid}?nopush=1`, bytes)
    expect(again.status).toBe(207)
    expect(resultOf(again).status).toEqual({ [first.udid]: { command_error: expect.stringContaining('ended before the device answered') } })
    expect(await queued(server, second.udid)).toContain(uuid)
  })

  it('takes the same post twice at once, in any order of ids, and queues one command each', async () => {
    const bytes = command(randomUUID())
    const post = (...devices: RawDevice[]) => call(server, 'PUT', `/v1/enqueue/${devices.map((device) => device.udid).join(',')}?nopush=1`, bytes)
    const answers = await Promise.all([post(first, second), post(second, first), post(first, second)])
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200])
    const { command_uuid: uuid } = resultOf(answers[0]!)
    expect(await server.db.query('select 1 from commands where command_uuid = $1', [uuid])).toHaveLength(2)
  })

  it('tells an unknown id by itself and queues for the others', async () => {
    const uuid = randomUUID()
    const answer = await call(server, 'PUT', `/v1/enqueue/NOBODY,${first.udid}`, command(uuid))
    expect(answer.status).toBe(207)
    expect(resultOf(answer).status?.['NOBODY']).toEqual({ command_error: 'no such enrollment' })
    expect(resultOf(answer).status?.[first.udid]?.push_result).toMatch(APNS_ID)
    expect(resultOf(answer)).toMatchObject({ command_uuid: uuid, request_type: 'ProfileList' })
    expect((await call(server, 'PUT', '/v1/enqueue/NOBODY', command())).status).toBe(500)
    expect((await call(server, 'PUT', '/v1/enqueue/%00', command())).status).toBe(500)
  })

  it('asks for nothing beyond the two keys', async () => {
    const device = await enrolledDevice(server, '00008150-0000000000E7')
    const bytes = encodePlist({ CommandUUID: 'one of (ours) #1', Command: { RequestType: 'NoSuchRequest', Anything: 1 }, Extra: 'kept' })
    const answer = await call(server, 'PUT', `/v1/enqueue/${device.udid}?nopush=1`, bytes)
    expect([answer.status, answer.json()]).toEqual([200, { no_push: true, command_uuid: 'one of (ours) #1', request_type: 'NoSuchRequest' }])
    expect((await device.put(encodePlist({ UDID: device.udid, Status: 'Idle' }), REPORT)).body.equals(bytes)).toBe(true)
    expect((await device.report({ Status: 'Acknowledged', CommandUUID: 'one of (ours) #1' })).status).toBe(200)
    expect(await queued(server, device.udid)).toEqual([])
  })

  it('an empty body is a push', async () => {
    const answer = await call(server, 'PUT', `/v1/enqueue/${first.udid}`, '')
    expect(answer.status).toBe(200)
    expect(resultOf(answer)).toEqual({ status: { [first.udid]: { push_result: expect.stringMatching(APNS_ID) } } })
  })

  it('an empty body with nopush is nothing', async () => {
    const answer = await call(server, 'PUT', `/v1/enqueue/${first.udid}?nopush=1`, '')
    expect(answer.status).toBe(500)
    expect(resultOf(answer)).toEqual({ no_push: true, command_error: 'must enqueue or push' })
  })

  it('fails as a whole without ids', async () => {
    expect(resultOf(await call(server, 'PUT', '/v1/enqueue/', command()))).toEqual({ command_error: 'getting enrollment ids: empty path' })
  })

  it.each(['GET', 'POST', 'PATCH', 'DELETE', 'OPTIONS'])('takes %s with a body', async (method) => {
    const uuid = randomUUID()
    const body = command(uuid)
    const answer = await call(server, method, `/v1/enqueue/${first.udid}?nopush=1`, body, { 'content-length': String(body.length) })
    expect(answer.status).toBe(200)
    expect(await queued(server, first.udid)).toContain(uuid)
  })

  it.each(['application/x-www-form-urlencoded', 'text/plain', 'application/xml', 'application/json'])('takes the content type %s', async (type) => {
    expect((await call(server, 'POST', `/v1/enqueue/${first.udid}?nopush=1`, command(), { 'content-type': type })).status).toBe(200)
  })

  it('refuses a body that is too large, of any method', async () => {
    const large = Buffer.alloc(8 * 1024 * 1024 + 1, ' ')
    for (const method of ['PUT', 'GET']) {
      const answer = await call(server, method, `/v1/enqueue/${first.udid}`, large, { 'content-length': String(large.length) }).catch((error: Error & { code?: string }) => error.code)
      // The server may hang up while the client still sends; then there is no status to read.
      expect([413, 'ECONNRESET', 'EPIPE']).toContain(typeof answer === 'object' ? answer.status : answer)
    }
  })

  it('reads a user channel behind : and %3A, and commas behind %2C', async () => {
    const mac = await enrolledDevice(server, 'A1B2C3D4-0000-4000-8000-00000000000F', { authenticate: { ProductName: 'Mac15,3' } })
    const user = '6C2B2F7E-1111-4222-8333-444455556666'
    await mac.tokenUpdate({ UserID: user, UserShortName: 'ann' })
    for (const id of [`${mac.udid}:${user}`, `${mac.udid}%3A${user}`]) {
      const answer = await call(server, 'PUT', `/v1/enqueue/${id}?nopush=1`, command())
      expect(answer.status).toBe(200)
    }
    const [row] = await server.db.query<{ count: number }>(
      `select count(*)::int as count from commands c join enrollments e on e.id = c.enrollment_id where e.user_key = $1`, [user])
    expect(row?.count).toBe(2)
    expect((await call(server, 'GET', `/v1/push/${first.udid}%2C${second.udid}`)).status).toBe(200)
  })

  it('takes 30 ids in the path', async () => {
    const ids = [first.udid, ...Array.from({ length: 29 }, () => randomUUID().toUpperCase())]
    const answer = await call(server, 'PUT', `/v1/enqueue/${ids.join(',')}?nopush=1`, command())
    expect(answer.status).toBe(207)
    expect(Object.keys(resultOf(answer).status ?? {})).toHaveLength(29)
  })

  it('replaces nothing: the same profile twice is delivered twice', async () => {
    const device = await enrolledDevice(server, '00008150-000000000010')
    const payload = encodePlist({ PayloadIdentifier: 'com.example.wifi', PayloadType: 'Configuration' })
    const uuids = [randomUUID(), randomUUID()]
    for (const uuid of uuids) {
      await call(server, 'PUT', `/v1/enqueue/${device.udid}?nopush=1`, encodeCommand(uuid, { RequestType: 'InstallProfile', Payload: payload }))
    }
    const one = await device.idle()
    const two = await device.acknowledge(one!)
    expect([uuidOf(one!), uuidOf(two!)]).toEqual(uuids)
  })

  it('needs actions:destructive for an erase', async () => {
    const key = await keyWith(server, 'compat')
    const uuid = randomUUID()
    const answer = await call(server, 'PUT', `/v1/enqueue/${second.udid}?nopush=1`, command(uuid, 'EraseDevice'), basic('nanomdm', key))
    expect(answer.status).toBe(500)
    expect(resultOf(answer).command_error).toContain('actions:destructive')
    expect(await queued(server, second.udid)).not.toContain(uuid)
    const strong = await keyWith(server, 'compat', 'actions:destructive')
    expect((await call(server, 'PUT', `/v1/enqueue/${second.udid}?nopush=1`, command(uuid, 'EraseDevice'), basic('nanomdm', strong))).status).toBe(200)
  })

  it('records who queued it for each device', async () => {
    const uuid = randomUUID()
    await call(server, 'PUT', `/v1/enqueue/${first.udid},${second.udid}?nopush=1`, command(uuid))
    const events = await server.db.query<{ actor: string; device_id: string }>(
      `select e.actor, e.device_id from events e join commands c on c.id = e.data->>'command' where c.command_uuid = $1 and e.type = 'command.queued'`, [uuid])
    expect(events).toHaveLength(2)
    expect(new Set(events.map((event) => event.device_id)).size).toBe(2)
    expect(events[0]?.actor).toMatch(/^key_/)
  })
})
