import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startBramley, TOPIC, type TestServer } from '../support/bramley.ts'
import { APNS_ID, call, resultOf } from '../support/compat.ts'
import { enrolledDevice, obtainIdentity, rawDevice, type RawDevice } from '../support/raw-device.ts'

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

describe('/v1/push', () => {
  it('pushes once and tells Apple’s apns-id', async () => {
    const before = server.apns.received.length
    const answer = await call(server, 'GET', `/v1/push/${first.udid}`)
    expect(answer.status).toBe(200)
    expect(answer.headers['content-type']).toBe('application/json')
    expect(resultOf(answer)).toEqual({ status: { [first.udid]: { push_result: expect.stringMatching(APNS_ID) } } })
    expect(server.apns.received.slice(before)).toMatchObject([{ topic: TOPIC }])
  })

  it('writes JSON with tabs and a final newline, ids sorted', async () => {
    const text = (await call(server, 'GET', `/v1/push/${second.udid},${first.udid}`)).body.toString()
    expect(text).toMatch(/^\{\n\t"status": \{\n\t\t"00008150-00000000000A": \{\n\t\t\t"push_result": "[^"]+"\n\t\t\},\n\t\t"00008150-00000000000B"/)
    expect(text.endsWith('\n}\n')).toBe(true)
  })

  it.each(['PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS'])('takes %s as well', async (method) => {
    expect((await call(server, method, `/v1/push/${first.udid}`)).status).toBe(200)
  })

  it('fails for an unknown id alone, and partly beside a known one', async () => {
    const alone = await call(server, 'GET', '/v1/push/NOBODY')
    expect(alone.status).toBe(500)
    expect(resultOf(alone)).toEqual({ status: { NOBODY: { push_error: 'push data missing for id' } } })
    const mixed = await call(server, 'GET', `/v1/push/${first.udid},NOBODY`)
    expect(mixed.status).toBe(207)
    expect(resultOf(mixed).status?.['NOBODY']).toEqual({ push_error: 'push data missing for id' })
    expect(resultOf(mixed).status?.[first.udid]?.push_result).toMatch(APNS_ID)
  })

  it('matches ids exactly, in upper and lower case', async () => {
    expect((await call(server, 'GET', `/v1/push/${first.udid.toLowerCase()}`)).status).toBe(500)
  })

  it('does not push to a device that has checked out', async () => {
    const gone = await enrolledDevice(server, '00008150-00000000000C')
    await gone.checkin({ MessageType: 'CheckOut' })
    const answer = await call(server, 'GET', `/v1/push/${gone.udid}`)
    expect(answer.status).toBe(500)
    expect(resultOf(answer).status?.[gone.udid]).toEqual({ push_error: 'enrollment is not active' })
  })

  it('says why Apple refused, in upstream’s words', async () => {
    server.apns.answerNext(429, { reason: 'TooManyRequests' })
    const answer = await call(server, 'GET', `/v1/push/${first.udid}`)
    expect(answer.status).toBe(500)
    expect(resultOf(answer).status?.[first.udid]).toEqual({ push_error: 'push HTTP status: 429: APNs push error: TooManyRequests' })
  })

  it('tells a dead token with its time, and afterwards that pushing has stopped', async () => {
    const dead = await enrolledDevice(server, '00008150-00000000000D')
    await server.db.query('delete from push_wakes')
    const [row] = await server.db.query<{ push_token: Buffer }>('select push_token from enrollments where device_key = $1', [dead.udid])
    const since = new Date(Date.now() + 60_000)
    server.apns.unregister(row!.push_token, since)
    expect(resultOf(await call(server, 'GET', `/v1/push/${dead.udid}`)).status?.[dead.udid]?.push_error)
      .toBe(`push HTTP status: 410: APNs push error: Unregistered: timestamp ${since.getTime()}`)
    expect(resultOf(await call(server, 'GET', `/v1/push/${dead.udid}`)).status?.[dead.udid]?.push_error)
      .toBe('pushing has stopped until the next TokenUpdate: Unregistered')
  })

  it('fails as a whole when the push certificate is missing', async () => {
    await server.db.query(`update push_certificates set stopped_reason = 'BadCertificate'`)
    const answer = await call(server, 'GET', `/v1/push/${first.udid}`)
    await server.db.query('update push_certificates set stopped_reason = null')
    expect(answer.status).toBe(500)
    expect(resultOf(answer)).toEqual({ push_error: `no usable push certificate for topic ${TOPIC}` })
  })

  it('pushes to users by UDID:short name on a Shared iPad and by EnrollmentID:EnrollmentUserID on a personal Mac', async () => {
    await first.tokenUpdate({ UserID: 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', UserShortName: 'bob@example.edu' })
    const id = 'B1C0A7E4-3D52-49F0-8A6B-77D0E1F2A3B4'
    const own = { UDID: undefined, EnrollmentID: id }
    await enrolledDevice(server, id, { authenticate: own, token: own }).then((device) => device.tokenUpdate({ ...own, EnrollmentUserID: 'U-1' }))
    await server.db.query('delete from push_wakes')
    const ids = [`${first.udid}:bob@example.edu`, id, `${id}:U-1`]
    const answer = await call(server, 'GET', `/v1/push/${ids.join(',')}`)
    expect([answer.status, Object.keys(resultOf(answer).status ?? {}).toSorted((a, b) => (a < b ? -1 : 1))]).toEqual([200, ids])
  })

  it('knows nothing of where to push before the TokenUpdate', async () => {
    const { identity } = await obtainIdentity(server, await server.link())
    const begun = rawDevice(server, '00008150-0000000000AA', identity)
    await begun.authenticate()
    expect(resultOf(await call(server, 'GET', `/v1/push/${begun.udid}`)).status).toEqual({ [begun.udid]: { push_error: 'push data missing for id' } })
  })

  it('takes ids as they are: blanks count, an empty one is one, the same twice is one push', async () => {
    const answer = await call(server, 'GET', `/v1/push/${first.udid},%20${first.udid},`)
    expect(answer.status).toBe(207)
    expect(resultOf(answer).status).toEqual({
      '': { push_error: 'push data missing for id' }, [` ${first.udid}`]: { push_error: 'push data missing for id' },
      [first.udid]: { push_result: expect.stringMatching(APNS_ID) },
    })
    const before = server.apns.received.length
    const twice = await call(server, 'GET', `/v1/push/${first.udid},${first.udid}`)
    expect([twice.status, server.apns.received.length - before]).toEqual([200, 1])
  })

  it.each(['/v1/push', '/v1/push/'])('fails as a whole without ids (%s)', async (path) => {
    const answer = await call(server, 'GET', path)
    expect(answer.status).toBe(500)
    expect(resultOf(answer)).toEqual({ push_error: 'getting enrollment ids: empty path' })
  })

  it('keeps the wish until the device visits', async () => {
    await call(server, 'GET', `/v1/push/${first.udid}`)
    const wakes = () => server.db.query(`select ticket, attempt from push_wakes`)
    expect(await wakes()).toEqual([{ ticket: null, attempt: 1 }])
    await first.idle()
    expect(await wakes()).toEqual([])
  })
})
