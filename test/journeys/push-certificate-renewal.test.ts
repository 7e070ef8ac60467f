import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { KEY, startBramley, still, TOPIC, until, type TestServer } from '../support/bramley.ts'
import { enrolledDevice, type RawDevice } from '../support/raw-device.ts'

let a: TestServer
let b: TestServer
beforeAll(async () => {
  a = await startBramley()
  b = await startBramley({ beside: a })
})
afterAll(async () => {
  await b.stop()
  await a.stop()
})

let devices: RawDevice[]
beforeEach(async () => {
  devices = [await device(), await device()]
  await still(a)
})

let number = 0
const device = () => enrolledDevice(a, `00008160-${String(++number).padStart(12, '0')}`)

interface PushResult {
  status: Record<string, { push_result?: string; push_error?: string }>
  push_error?: string
}

/** Pushes to devices from this very process, and gives its answer. */
async function push(server: TestServer, ...to: RawDevice[]): Promise<PushResult> {
  const authorization = `Basic ${Buffer.from(`nanomdm:${KEY}`).toString('base64')}`
  return (await server.http('GET', `/v1/push/${to.map(({ udid }) => udid).join(',')}`, { headers: { authorization } })).json<PushResult>()
}

const accepted = (...to: RawDevice[]) => ({ status: Object.fromEntries(to.map(({ udid }) => [udid, { push_result: expect.any(String) }])) })

/** Renews the certificate at this process; gives the SHA-256 of the new one. */
async function renew(server: TestServer): Promise<string> {
  const { certificatePem, keyPem } = a.apns.issuePushCertificate(TOPIC)
  const answer = await server.api('POST', '/push-certificates', { certificate: certificatePem, key: keyPem })
  expect(answer.status).toBe(201)
  return new X509Certificate(certificatePem).fingerprint256.replaceAll(':', '').toLowerCase()
}

const stoppedReason = async () => (await a.db.query<{ stopped_reason: string | null }>('select stopped_reason from push_certificates'))[0]?.stopped_reason

describe('a push certificate renewed at one process', () => {
  it('is what the very next push of another comes with, although its connection with the old one is open', async () => {
    const old = await renew(a)
    expect(await push(b, devices[0]!)).toEqual(accepted(devices[0]!))
    expect(a.apns.provedBy.at(-1)).toBe(old)
    const renewed = await renew(a)
    expect(await push(b, devices[0]!)).toEqual(accepted(devices[0]!))
    expect(a.apns.provedBy.at(-1)).toBe(renewed)
  })

  it('counts as another one when it replaces one that was deleted, whatever its version', async () => {
    await renew(a)
    expect(await push(b, devices[0]!)).toEqual(accepted(devices[0]!))
    await a.db.query('delete from push_certificates')
    const fresh = await renew(a)
    expect(await push(b, devices[0]!)).toEqual(accepted(devices[0]!))
    expect(a.apns.provedBy.at(-1)).toBe(fresh)
  })

  it('is what pushes go with that wait in another process while Apple is silent on the old connection', async () => {
    a.apns.maxStreams = 1
    const old = await renew(a)
    a.apns.stall()
    const before = a.apns.counters.pushes
    // One is on its way, the other waits for its turn; nobody calls B any more.
    const answer = push(b, ...devices)
    await a.apns.arrived(before + 1)
    const renewed = await renew(a)
    await a.apns.arrived(before + 2)
    a.apns.resume()
    a.apns.maxStreams = 1_000
    expect(await answer).toEqual(accepted(...devices))
    expect(a.apns.provedBy.slice(-2).toSorted()).toEqual([old, renewed].toSorted())
  })

  it('is what waiting pushes of the queue go with, in whichever process they wait, while what is on its way there stays unanswered', async () => {
    devices.push(await device(), await device(), await device())
    await still(a)
    const old = await renew(a)
    a.apns.maxStreams = 1
    a.apns.stall()
    const [before, acceptedBefore] = [a.apns.counters.pushes, a.apns.received.length]
    await a.db.query(`update push_wakes w set due_at = now() from enrollments e where e.id = w.enrollment_id and e.device_key = any($1)`, [devices.map(({ udid }) => udid)])
    await a.apns.arrived(before + 1)
    a.apns.maxStreams = 1_000
    const renewed = await renew(a)
    await a.apns.arrived(before + devices.length)
    a.apns.resume()
    await until(async () => a.apns.received.length >= acceptedBefore + devices.length, 'all to be accepted')
    const proofs = a.apns.provedBy.slice(acceptedBefore)
    // At most one was on its way in each process.
    expect(proofs.filter((proof) => proof === renewed).length).toBeGreaterThanOrEqual(devices.length - 2)
    expect(proofs).toContain(old)
  })

  it('goes out again when Apple refused the old one meanwhile, and the topic does not stop', async () => {
    await renew(a)
    a.apns.stall()
    const before = a.apns.counters.pushes
    const answer = push(b, devices[0]!)
    await a.apns.arrived(before + 1)
    const renewed = await renew(a)
    a.apns.answerNext(403, { reason: 'BadCertificate' })
    a.apns.resume()
    expect(await answer).toEqual(accepted(devices[0]!))
    expect(a.apns.provedBy.at(-1)).toBe(renewed)
    expect(await stoppedReason()).toBeNull()
  })
})

describe('a push certificate that Apple refuses at one process', () => {
  it('is used by no process, until one is uploaded at any of them; then what waited goes out', async () => {
    await renew(a)
    expect(await push(a, devices[0]!)).toEqual(accepted(devices[0]!))
    a.apns.answerNext(403, { reason: 'BadCertificate' })
    const refused = await push(b, devices[1]!)
    expect(refused.status[devices[1]!.udid]?.push_error).toContain('403')
    expect(await stoppedReason()).toBe('BadCertificate')

    const before = a.apns.counters.pushes
    expect((await push(a, devices[0]!)).push_error).toContain(`no usable push certificate for topic ${TOPIC}`)
    expect(a.apns.counters.pushes).toBe(before)
    expect(a.logs.concat(b.logs)).toContainEqual(expect.objectContaining({ level: 50, topic: TOPIC, reason: 'BadCertificate' }))

    const renewed = await renew(b)
    expect(await stoppedReason()).toBeNull()
    await until(async () => (await a.db.query(
      `select 1 from pushes p join enrollments e on e.id = p.enrollment_id where e.device_key = $1 and p.outcome = 'accepted'`, [devices[1]!.udid])).length > 0, 'the push that waited')
    expect(await push(a, devices[0]!)).toEqual(accepted(devices[0]!))
    expect(a.apns.provedBy.at(-1)).toBe(renewed)
  })
})
