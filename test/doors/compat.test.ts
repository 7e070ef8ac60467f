import { spawn } from 'node:child_process'
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { encodeCommand } from '../../src/apple/wire/command.ts'
import { KEY, startBramley, TOPIC, type Answer, type TestServer } from '../support/bramley.ts'
import { ensureBuilt } from '../support/process.ts'
import { enrolledDevice, REPORT, uuidOf, type RawDevice } from '../support/raw-device.ts'
import { encodePlist } from '../../src/apple/wire/plist-writer.ts'

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

const basic = (user = 'nanomdm', key = KEY) => ({ authorization: `Basic ${Buffer.from(`${user}:${key}`).toString('base64')}` })
const call = (method: string, path: string, body?: Buffer | string, headers: Record<string, string> = {}) => (
  server.http(method, path, { headers: { ...basic(), ...headers }, ...(body !== undefined && { body }) })
)
const command = (uuid: string = randomUUID(), requestType = 'ProfileList') => encodeCommand(uuid, { RequestType: requestType })
const APNS_ID = /^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/

interface Result {
  status?: Record<string, { push_error?: string; push_result?: string; command_error?: string }>
  no_push?: boolean
  push_error?: string
  command_error?: string
  command_uuid?: string
  request_type?: string
}
const resultOf = (answer: Answer) => answer.json<Result>()
const queued = async (udid: string) => (await server.db.query<{ command_uuid: string }>(
  `select c.command_uuid from commands c join enrollments e on e.id = c.enrollment_id where e.device_key = $1 order by c.seq`, [udid])).map((row) => row.command_uuid)

async function keyWith(...scopes: string[]): Promise<string> {
  const answer = await server.api('POST', '/api-keys', { name: 'compat test', scopes })
  return answer.json<{ token: string }>().token
}

describe('who may enter', () => {
  it('answers a wrong key as upstream does', async () => {
    const answer = await call('GET', `/v1/push/${first.udid}`, undefined, basic('nanomdm', 'wrong'))
    expect(answer.status).toBe(401)
    expect(answer.headers['www-authenticate']).toBe('Basic realm="nanomdm"')
    expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8')
    expect(answer.body.toString()).toBe('Unauthorized\n')
  })

  it.each(['nanomdm', 'nanohub', 'micromdm'])('lets the user name %s in with the key as password', async (user) => {
    expect((await call('GET', `/v1/push/${first.udid}`, undefined, basic(user))).status).toBe(200)
  })

  it('takes the key as Bearer too', async () => {
    expect((await call('GET', `/v1/push/${first.udid}`, undefined, { authorization: `Bearer ${KEY}` })).status).toBe(200)
  })

  it('refuses other user names, no credentials, and keys without the scope compat, admin or not', async () => {
    const admin = await keyWith('admin')
    for (const headers of [basic('root'), { authorization: '' }, basic('nanomdm', admin)]) {
      expect((await call('GET', `/v1/push/${first.udid}`, undefined, headers)).status).toBe(401)
    }
  })

  it('stores nothing for a stranger', async () => {
    await call('PUT', `/v1/enqueue/${first.udid}?nopush=1`, command('stranger'), basic('nanomdm', 'wrong'))
    expect(await queued(first.udid)).not.toContain('stranger')
  })
})

describe('/version', () => {
  it('is compact JSON without a key', async () => {
    const answer = await server.http('GET', '/version')
    expect(answer.body.toString()).toMatch(/^\{"version":"[^"]+"\}$/)
  })
})

describe('/v1/push', () => {
  it('pushes once and tells Apple’s apns-id', async () => {
    const before = server.apns.received.length
    const answer = await call('GET', `/v1/push/${first.udid}`)
    expect(answer.status).toBe(200)
    expect(answer.headers['content-type']).toBe('application/json')
    expect(resultOf(answer)).toEqual({ status: { [first.udid]: { push_result: expect.stringMatching(APNS_ID) } } })
    expect(server.apns.received.slice(before)).toMatchObject([{ topic: TOPIC }])
  })

  it('writes JSON with tabs and a final newline, ids sorted', async () => {
    const text = (await call('GET', `/v1/push/${second.udid},${first.udid}`)).body.toString()
    expect(text).toMatch(/^\{\n\t"status": \{\n\t\t"00008150-00000000000A": \{\n\t\t\t"push_result": "[^"]+"\n\t\t\},\n\t\t"00008150-00000000000B"/)
    expect(text.endsWith('\n}\n')).toBe(true)
  })

  it.each(['PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS'])('takes %s as well', async (method) => {
    expect((await call(method, `/v1/push/${first.udid}`)).status).toBe(200)
  })

  it('fails for an unknown id alone, and partly beside a known one', async () => {
    const alone = await call('GET', '/v1/push/NOBODY')
    expect(alone.status).toBe(500)
    expect(resultOf(alone)).toEqual({ status: { NOBODY: { push_error: 'push data missing for id' } } })
    const mixed = await call('GET', `/v1/push/${first.udid},NOBODY`)
    expect(mixed.status).toBe(207)
    expect(resultOf(mixed).status?.['NOBODY']).toEqual({ push_error: 'push data missing for id' })
    expect(resultOf(mixed).status?.[first.udid]?.push_result).toMatch(APNS_ID)
  })

  it('matches ids exactly, in upper and lower case', async () => {
    expect((await call('GET', `/v1/push/${first.udid.toLowerCase()}`)).status).toBe(500)
  })

  it('does not push to a device that has checked out', async () => {
    const gone = await enrolledDevice(server, '00008150-00000000000C')
    await gone.checkin({ MessageType: 'CheckOut' })
    const answer = await call('GET', `/v1/push/${gone.udid}`)
    expect(answer.status).toBe(500)
    expect(resultOf(answer).status?.[gone.udid]).toEqual({ push_error: 'enrollment is not active' })
  })

  it('says why Apple refused, in upstream’s words', async () => {
    server.apns.answerNext(429, { reason: 'TooManyRequests' })
    const answer = await call('GET', `/v1/push/${first.udid}`)
    expect(answer.status).toBe(500)
    expect(resultOf(answer).status?.[first.udid]).toEqual({ push_error: 'push HTTP status: 429: APNs push error: TooManyRequests' })
  })

  it('tells a dead token with its time, and afterwards that pushing has stopped', async () => {
    const dead = await enrolledDevice(server, '00008150-00000000000D')
    await server.db.query('delete from push_wakes')
    const [row] = await server.db.query<{ push_token: Buffer }>('select push_token from enrollments where device_key = $1', [dead.udid])
    const since = new Date(Date.now() + 60_000)
    server.apns.unregister(row!.push_token, since)
    expect(resultOf(await call('GET', `/v1/push/${dead.udid}`)).status?.[dead.udid]?.push_error)
      .toBe(`push HTTP status: 410: APNs push error: Unregistered: timestamp ${since.getTime()}`)
    expect(resultOf(await call('GET', `/v1/push/${dead.udid}`)).status?.[dead.udid]?.push_error)
      .toBe('pushing has stopped until the next TokenUpdate: Unregistered')
  })

  it('fails as a whole when the push certificate is missing', async () => {
    await server.db.query(`update push_certificates set stopped_reason = 'BadCertificate'`)
    const answer = await call('GET', `/v1/push/${first.udid}`)
    await server.db.query('update push_certificates set stopped_reason = null')
    expect(answer.status).toBe(500)
    expect(resultOf(answer)).toEqual({ push_error: `no usable push certificate for topic ${TOPIC}` })
  })

  it.each(['/v1/push', '/v1/push/'])('fails as a whole without ids (%s)', async (path) => {
    const answer = await call('GET', path)
    expect(answer.status).toBe(500)
    expect(resultOf(answer)).toEqual({ push_error: 'getting enrollment ids: empty path' })
  })

  it('keeps the wish until the device visits', async () => {
    await call('GET', `/v1/push/${first.udid}`)
    const wakes = () => server.db.query(`select ticket, attempt from push_wakes`)
    expect(await wakes()).toEqual([{ ticket: null, attempt: 1 }])
    await first.idle()
    expect(await wakes()).toEqual([])
  })
})

describe('/v1/enqueue', () => {
  it('queues, pushes once, and hands out the very bytes', async () => {
    const uuid = randomUUID()
    const bytes = Buffer.from(command(uuid).toString().replace('<dict>', '<dict><!-- as it came -->'))
    const before = server.apns.received.length
    const answer = await call('PUT', `/v1/enqueue/${first.udid}`, bytes)
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
    const answer = await call('PUT', `/v1/enqueue/${first.udid}?nopush=${value}`, command(uuid))
    expect(answer.status).toBe(200)
    expect(resultOf(answer)).toEqual({ no_push: true, command_uuid: uuid, request_type: 'ProfileList' })
    expect(await queued(first.udid)).toContain(uuid)
    expect(server.apns.received.length).toBe(before)
    expect(await server.db.query('select 1 from push_wakes')).toEqual([])
  })

  it('an empty nopush does not suppress the push', async () => {
    const answer = await call('PUT', `/v1/enqueue/${first.udid}?nopush=`, command())
    expect(resultOf(answer).status?.[first.udid]?.push_result).toMatch(APNS_ID)
    expect(resultOf(answer)).not.toHaveProperty('no_push')
  })

  it('gives all ids of a call the same CommandUUID and stores the body once', async () => {
    const uuid = randomUUID()
    const answer = await call('PUT', `/v1/enqueue/${first.udid},${second.udid}?nopush=1`, command(uuid))
    expect(answer.status).toBe(200)
    const rows = await server.db.query<{ body_id: number }>('select body_id from commands where command_uuid = $1', [uuid])
    expect(rows).toHaveLength(2)
    expect(new Set(rows.map((row) => row.body_id)).size).toBe(1)
  })

  it('answers 207 when some pushes failed and 500 when all did; the command is queued all the same', async () => {
    const uuid = randomUUID()
    server.apns.answerNext(429, { reason: 'TooManyRequests' })
    const some = await call('PUT', `/v1/enqueue/${first.udid},${second.udid}`, command(uuid))
    expect(some.status).toBe(207)
    expect(Object.values(resultOf(some).status ?? {}).filter((one) => one.push_error !== undefined)).toHaveLength(1)
    server.apns.answerNext(429, { reason: 'TooManyRequests' })
    const all = randomUUID()
    expect((await call('PUT', `/v1/enqueue/${first.udid}`, command(all))).status).toBe(500)
    expect(await queued(first.udid)).toEqual(expect.arrayContaining([uuid, all]))
  })

  it.each([
    ['no plist', Buffer.from('hello')],
    ['no CommandUUID', encodePlist({ Command: { RequestType: 'ProfileList' } })],
    ['no RequestType', encodePlist({ CommandUUID: 'A-1', Command: {} })],
  ])('refuses a body with %s by 500 and a string', async (_what, body) => {
    const answer = await call('PUT', `/v1/enqueue/${first.udid}`, body)
    expect(answer.status).toBe(500)
    expect(Object.keys(resultOf(answer))).toEqual(['command_error'])
    expect(resultOf(answer).command_error).toMatch(/^decoding command: ./)
  })

  it('refuses a CommandUUID that was used for another command', async () => {
    const uuid = randomUUID()
    await call('PUT', `/v1/enqueue/${first.udid}?nopush=1`, command(uuid))
    const answer = await call('PUT', `/v1/enqueue/${first.udid}?nopush=1`, command(uuid, 'SecurityInfo'))
    expect(answer.status).toBe(500)
    expect(resultOf(answer).status?.[first.udid]?.command_error).toContain('used before')
    expect((await queued(first.udid)).filter((one) => one === uuid)).toHaveLength(1)
  })

  it('takes the same post again without a second command, also after the answer', async () => {
    const device = await enrolledDevice(server, '00008150-00000000000E')
    const bytes = command()
    const post = () => call('PUT', `/v1/enqueue/${device.udid}?nopush=1`, bytes)
    expect([(await post()).status, (await post()).status]).toEqual([200, 200])
    const handed = await device.idle()
    expect(await device.acknowledge(handed!, { ProfileList: [] })).toBeUndefined()
    expect((await post()).status).toBe(200)
    expect(await device.idle()).toBeUndefined()
  })

  it('does not take a command again that was withdrawn, and says so', async () => {
    const bytes = command()
    const uuid = resultOf(await call('PUT', `/v1/enqueue/${first.udid}?nopush=1`, bytes)).command_uuid
    const [row] = await server.db.query<{ id: string }>('select id from commands where command_uuid = $1', [uuid])
    expect((await server.api('POST', `/commands/${row!.id}/cancel`)).status).toBe(200)
    const again = await call('PUT', `/v1/enqueue/${first.udid},${second.udid}?nopush=1`, bytes)
    expect(again.status).toBe(207)
    expect(resultOf(again).status).toEqual({ [first.udid]: { command_error: expect.stringContaining('ended before the device answered') } })
    expect(await queued(second.udid)).toContain(uuid)
  })

  it('takes the same post twice at once, in any order of ids, and queues one command each', async () => {
    const bytes = command(randomUUID())
    const post = (...devices: RawDevice[]) => call('PUT', `/v1/enqueue/${devices.map((device) => device.udid).join(',')}?nopush=1`, bytes)
    const answers = await Promise.all([post(first, second), post(second, first), post(first, second)])
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200])
    const { command_uuid: uuid } = resultOf(answers[0]!)
    expect(await server.db.query('select 1 from commands where command_uuid = $1', [uuid])).toHaveLength(2)
  })

  it('tells an unknown id by itself and queues for the others', async () => {
    const uuid = randomUUID()
    const answer = await call('PUT', `/v1/enqueue/NOBODY,${first.udid}`, command(uuid))
    expect(answer.status).toBe(207)
    expect(resultOf(answer).status?.['NOBODY']).toEqual({ command_error: 'no such enrollment' })
    expect(resultOf(answer).status?.[first.udid]?.push_result).toMatch(APNS_ID)
    expect(resultOf(answer)).toMatchObject({ command_uuid: uuid, request_type: 'ProfileList' })
    expect((await call('PUT', '/v1/enqueue/NOBODY', command())).status).toBe(500)
    expect((await call('PUT', '/v1/enqueue/%00', command())).status).toBe(500)
  })

  it('an empty body is a push', async () => {
    const answer = await call('PUT', `/v1/enqueue/${first.udid}`, '')
    expect(answer.status).toBe(200)
    expect(resultOf(answer)).toEqual({ status: { [first.udid]: { push_result: expect.stringMatching(APNS_ID) } } })
  })

  it('an empty body with nopush is nothing', async () => {
    const answer = await call('PUT', `/v1/enqueue/${first.udid}?nopush=1`, '')
    expect(answer.status).toBe(500)
    expect(resultOf(answer)).toEqual({ no_push: true, command_error: 'must enqueue or push' })
  })

  it('fails as a whole without ids', async () => {
    expect(resultOf(await call('PUT', '/v1/enqueue/', command()))).toEqual({ command_error: 'getting enrollment ids: empty path' })
  })

  it.each(['GET', 'POST', 'PATCH', 'DELETE', 'OPTIONS'])('takes %s with a body', async (method) => {
    const uuid = randomUUID()
    const body = command(uuid)
    const answer = await call(method, `/v1/enqueue/${first.udid}?nopush=1`, body, { 'content-length': String(body.length) })
    expect(answer.status).toBe(200)
    expect(await queued(first.udid)).toContain(uuid)
  })

  it.each(['application/x-www-form-urlencoded', 'text/plain', 'application/xml', 'application/json'])('takes the content type %s', async (type) => {
    expect((await call('POST', `/v1/enqueue/${first.udid}?nopush=1`, command(), { 'content-type': type })).status).toBe(200)
  })

  it('refuses a body that is too large, of any method', async () => {
    const large = Buffer.alloc(8 * 1024 * 1024 + 1, ' ')
    for (const method of ['PUT', 'GET']) {
      const answer = await call(method, `/v1/enqueue/${first.udid}`, large, { 'content-length': String(large.length) }).catch((error: Error & { code?: string }) => error.code)
      // The server may hang up while the client still sends; then there is no status to read.
      expect([413, 'ECONNRESET', 'EPIPE']).toContain(typeof answer === 'object' ? answer.status : answer)
    }
  })

  it('reads a user channel behind : and %3A, and commas behind %2C', async () => {
    const mac = await enrolledDevice(server, 'A1B2C3D4-0000-4000-8000-00000000000F', { authenticate: { ProductName: 'Mac15,3' } })
    const user = '6C2B2F7E-1111-4222-8333-444455556666'
    await mac.tokenUpdate({ UserID: user, UserShortName: 'ann' })
    for (const id of [`${mac.udid}:${user}`, `${mac.udid}%3A${user}`]) {
      const answer = await call('PUT', `/v1/enqueue/${id}?nopush=1`, command())
      expect(answer.status).toBe(200)
    }
    const [row] = await server.db.query<{ count: number }>(
      `select count(*)::int as count from commands c join enrollments e on e.id = c.enrollment_id where e.user_key = $1`, [user])
    expect(row?.count).toBe(2)
    expect((await call('GET', `/v1/push/${first.udid}%2C${second.udid}`)).status).toBe(200)
  })

  it('takes 30 ids in the path', async () => {
    const ids = [first.udid, ...Array.from({ length: 29 }, () => randomUUID().toUpperCase())]
    const answer = await call('PUT', `/v1/enqueue/${ids.join(',')}?nopush=1`, command())
    expect(answer.status).toBe(207)
    expect(Object.keys(resultOf(answer).status ?? {})).toHaveLength(29)
  })

  it('replaces nothing: the same profile twice is delivered twice', async () => {
    const device = await enrolledDevice(server, '00008150-000000000010')
    const payload = encodePlist({ PayloadIdentifier: 'com.example.wifi', PayloadType: 'Configuration' })
    const uuids = [randomUUID(), randomUUID()]
    for (const uuid of uuids) {
      await call('PUT', `/v1/enqueue/${device.udid}?nopush=1`, encodeCommand(uuid, { RequestType: 'InstallProfile', Payload: payload }))
    }
    const one = await device.idle()
    const two = await device.acknowledge(one!)
    expect([uuidOf(one!), uuidOf(two!)]).toEqual(uuids)
  })

  it('needs actions:destructive for an erase', async () => {
    const key = await keyWith('compat')
    const uuid = randomUUID()
    const answer = await call('PUT', `/v1/enqueue/${second.udid}?nopush=1`, command(uuid, 'EraseDevice'), basic('nanomdm', key))
    expect(answer.status).toBe(500)
    expect(resultOf(answer).command_error).toContain('actions:destructive')
    expect(await queued(second.udid)).not.toContain(uuid)
    const strong = await keyWith('compat', 'actions:destructive')
    expect((await call('PUT', `/v1/enqueue/${second.udid}?nopush=1`, command(uuid, 'EraseDevice'), basic('nanomdm', strong))).status).toBe(200)
  })

  it('records who queued it for each device', async () => {
    const uuid = randomUUID()
    await call('PUT', `/v1/enqueue/${first.udid},${second.udid}?nopush=1`, command(uuid))
    const events = await server.db.query<{ actor: string; device_id: string }>(
      `select e.actor, e.device_id from events e join commands c on c.id = e.data->>'command' where c.command_uuid = $1 and e.type = 'command.queued'`, [uuid])
    expect(events).toHaveLength(2)
    expect(new Set(events.map((event) => event.device_id)).size).toBe(2)
    expect(events[0]?.actor).toMatch(/^key_/)
  })
})

describe('/v1/pushcert', () => {
  const pair = () => server.apns.issuePushCertificate(TOPIC)

  it('takes certificate and key in any order, glued together or not, and renews', async () => {
    const { certificatePem, keyPem } = pair()
    for (const body of [certificatePem + keyPem, keyPem + certificatePem, certificatePem.trimEnd() + keyPem]) {
      const answer = await call('PUT', '/v1/pushcert', body)
      expect(answer.status).toBe(200)
      expect(answer.body.toString()).toMatch(new RegExp(`^\\{\\n\\t"not_after": "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ",\\n\\t"topic": "${TOPIC}"\\n\\}\\n$`))
    }
    const [row] = await server.db.query<{ version: number }>('select version::int from push_certificates where topic = $1', [TOPIC])
    expect(row?.version).toBe(4)
  })

  it('refuses what is none, by 400 and a string', async () => {
    const { certificatePem, keyPem } = pair()
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const encrypted = privateKey.export({ type: 'pkcs1', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }).toString()
    const foreign = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const bodies: [string, string][] = [
      ['', 'no PEM'],
      [certificatePem, 'no private key'],
      [keyPem, 'no certificate'],
      [certificatePem + foreign, 'does not match'],
      [certificatePem + encrypted, 'appears to be encrypted'],
      [certificatePem + keyPem + '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n', 'unrecognized PEM type: "PUBLIC KEY"'],
      [server.ca + keyPem, 'does not match'],
    ]
    for (const [body, complaint] of bodies) {
      const answer = await call('PUT', '/v1/pushcert', body)
      expect(answer.status).toBe(400)
      expect(answer.json<{ error: string }>().error).toContain(complaint)
    }
  })

  it('refuses another topic while devices depend on theirs, and stores nothing', async () => {
    const { certificatePem, keyPem } = server.apns.issuePushCertificate('com.apple.mgmt.External.foreign')
    const answer = await call('PUT', '/v1/pushcert', certificatePem + keyPem)
    expect(answer.status).toBe(409)
    const { error, ...rest } = answer.json<{ error: string }>()
    expect(error).toMatch(/^\d+ of \d+ enrolled devices use .*keep_both\.$/)
    expect(rest).toEqual({})
    expect(await server.db.query('select topic from push_certificates')).toEqual([{ topic: TOPIC }])
  })

  it('refuses one that has ended or ends before the one that is held, and stores nothing', async () => {
    const before = await server.db.query('select * from push_certificates')
    for (const [days, complaint] of [[-0.5, 'it ended on'], [200, 'before the one that is held']] as const) {
      const { certificatePem, keyPem } = server.apns.issuePushCertificate(TOPIC, days)
      const answer = await call('PUT', '/v1/pushcert', certificatePem + keyPem)
      expect([answer.status, answer.json()]).toEqual([400, { error: expect.stringContaining(complaint) }])
    }
    expect(await server.db.query('select * from push_certificates')).toEqual(before)
  })

  it('warns of one that ends soon', async () => {
    await server.db.query(`update push_certificates set not_after = now() + interval '5 days' where topic = $1`, [TOPIC])
    const [soon, later] = [server.apns.issuePushCertificate(TOPIC, 12), pair()]
    const warned = await call('PUT', '/v1/pushcert', soon.certificatePem + soon.keyPem)
    expect([warned.status, warned.json()]).toEqual([200, { not_after: expect.any(String), topic: TOPIC, warnings: ['the certificate expires in 11 days'] }])
    expect((await call('PUT', '/v1/pushcert', later.certificatePem + later.keyPem)).json()).toEqual({ not_after: expect.any(String), topic: TOPIC })
  })

  it('tells when a topic’s certificate ends', async () => {
    const answer = await call('GET', `/v1/pushcert?topic=${TOPIC}`)
    expect(answer.status).toBe(200)
    expect(answer.json()).toEqual({ not_after: expect.stringMatching(/^\d{4}-.*\dZ$/), topic: TOPIC })
  })

  it('asks for the topic, and knows what it does not know', async () => {
    const missing = await call('GET', '/v1/pushcert')
    expect([missing.status, missing.json()]).toEqual([400, { error: 'missing required query parameter: topic' }])
    expect((await call('GET', '/v1/pushcert?topic=com.apple.mgmt.other')).status).toBe(404)
  })

  it.each(['POST', 'DELETE'])('does not take %s', async (method) => {
    const answer = await call(method, '/v1/pushcert')
    expect([answer.status, answer.headers['allow'], answer.headers['content-type']]).toEqual([405, 'GET, PUT', 'text/plain; charset=utf-8'])
  })
})

const BRAMLEY = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

describe('scripts written for NanoMDM', () => {
  /** Runs curl as those scripts do; gives the body, a newline, and the status. */
  async function curl(args: string[], stdin?: Buffer): Promise<{ status: number; body: string }> {
    const ca = join(server.dataFolder, 'tls', 'ca.pem')
    const child = spawn('curl', ['-s', '--max-time', '20', '--cacert', ca, '-u', `nanomdm:${KEY}`, '-w', '\n%{http_code}', ...args])
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stdin.end(stdin)
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
    if (code !== 0) throw new Error(`curl ended with ${code}: ${output}`)
    const cut = output.lastIndexOf('\n')
    return { status: Number(output.slice(cut + 1)), body: output.slice(0, cut) }
  }

  it('run as they are: pushcert, push, enqueue from a pipe and from a file', async () => {
    const device = await enrolledDevice(server, '00008150-000000000011')
    await server.db.query('delete from push_wakes')
    const folder = mkdtempSync(join(inject('runFolder'), 'curl-'))
    const { certificatePem, keyPem } = server.apns.issuePushCertificate(TOPIC)
    writeFileSync(join(folder, 'push.pem'), certificatePem + keyPem)
    expect((await curl(['-T', join(folder, 'push.pem'), `${server.url}/v1/pushcert`])).status).toBe(200)
    expect((await curl([`${server.url}/v1/push/${device.udid}`])).status).toBe(200)

    const uuids = [randomUUID(), randomUUID(), randomUUID()]
    const [piped, posted, gotten] = uuids.map((uuid) => command(uuid))
    const answer = await curl(['-T', '-', `${server.url}/v1/enqueue/${device.udid}`], piped)
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.body)).toMatchObject({ command_uuid: uuids[0], request_type: 'ProfileList' })
    writeFileSync(join(folder, 'command.plist'), posted!)
    expect((await curl(['--data-binary', `@${join(folder, 'command.plist')}`, `${server.url}/v1/enqueue/${device.udid}?nopush=1`])).status).toBe(200)
    writeFileSync(join(folder, 'command.plist'), gotten!)
    expect((await curl(['-X', 'GET', '--data-binary', `@${join(folder, 'command.plist')}`, `${server.url}/v1/enqueue/${device.udid}?nopush=1`])).status).toBe(200)

    const seen: string[] = []
    for (let next = await device.idle(); next; next = await device.acknowledge(next, { ProfileList: [] })) seen.push(uuidOf(next))
    expect(seen).toEqual(uuids)
  })

  it('are fed by bramley plist through a pipe', async () => {
    ensureBuilt()
    const child = spawn('bash', ['-c', `"$NODE" "$BRAMLEY" plist DeviceInformation --Queries OSVersion | curl -sS --max-time 20 --cacert "$CA" -u "nanomdm:$KEY" -T - "$URL"`], {
      env: { PATH: process.env['PATH'], NODE: process.execPath, BRAMLEY, KEY, CA: join(server.dataFolder, 'tls', 'ca.pem'), URL: `${server.url}/v1/enqueue/${second.udid}?nopush=1` },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    await new Promise((resolve) => child.once('close', resolve))
    const result = JSON.parse(output) as Result
    expect(result).toEqual({ no_push: true, command_uuid: expect.any(String), request_type: 'DeviceInformation' })
    expect(await queued(second.udid)).toContain(result.command_uuid)
  })
})

describe('without a key that has the scope compat', () => {
  let other: TestServer
  beforeAll(async () => {
    other = await startBramley({ pushCertificate: false })
  })
  afterAll(() => other.stop())

  it('nothing is here', async () => {
    await other.db.query(`update api_keys set scopes = array_remove(scopes, 'compat')`)
    for (const path of ['/v1/push/A', '/v1/enqueue/A', '/v1/pushcert']) {
      expect((await other.http('GET', path, { headers: basic() })).status).toBe(404)
    }
    await other.db.query(`update api_keys set scopes = array_append(scopes, 'compat')`)
    expect((await other.http('GET', '/v1/pushcert?topic=x', { headers: basic('nanomdm', 'wrong') })).status).toBe(401)
    await other.db.query(`update api_keys set expires_at = now()`)
    expect((await other.http('GET', '/v1/pushcert?topic=x', { headers: basic() })).status).toBe(404)
  })
})

describe('with BRAMLEY_COMPAT=off', () => {
  it('nothing is here for anybody', async () => {
    const other = await startBramley({ pushCertificate: false, settings: { BRAMLEY_COMPAT: 'off' } })
    const answer = await other.http('GET', '/v1/pushcert?topic=x', { headers: basic() })
    await other.stop()
    expect(answer.status).toBe(404)
  })
})
