import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startBramley, TOPIC, until, uploadPushCertificate, type TestServer } from '../support/bramley.ts'
import { enrolledDevice, type RawDevice } from '../support/raw-device.ts'

let server: TestServer
beforeAll(async () => {
  server = await startBramley()
})
afterAll(() => server.stop())

let number = 0
const newUdid = () => `00008140-${String(++number).padStart(12, '0')}`
const queue = (device: RawDevice, type = 'ProfileList') => server.api('POST', `/devices/${device.udid}/commands`, { type }).then((answer) => answer.json<{ id: string }>())
const wakeOf = async (device: RawDevice) => (await server.db.query<{ due_at: Date; attempt: number; minutes: number }>(
  `select w.due_at, w.attempt, (extract(epoch from w.due_at - now()) / 60)::float8 as minutes from push_wakes w join enrollments e on e.id = w.enrollment_id where e.device_key = $1`, [device.udid]))[0]
const pushesTo = (device: RawDevice) => server.db.query<{ outcome: string; status: number | null; reason: string | null; apns_id: string | null }>(
  `select p.outcome, p.status, p.reason, p.apns_id from pushes p join enrollments e on e.id = p.enrollment_id where e.device_key = $1 order by p.id`, [device.udid])
const enrollmentOf = async (device: RawDevice) => (await server.db.query<{ state: string; push_stopped_at: Date | null; push_trouble: string | null }>(
  `select state, push_stopped_at, push_trouble from enrollments where device_key = $1 and channel = 'device'`, [device.udid]))[0]

/** A device whose first push after enrolling is over. */
async function settled(): Promise<RawDevice> {
  const device = await enrolledDevice(server, newUdid())
  await server.db.query(`delete from push_wakes w using enrollments e where e.id = w.enrollment_id and e.device_key = $1`, [device.udid])
  return device
}

describe('a queued command', () => {
  it('wakes its device at once, with exactly {"mdm": PushMagic}, and shows Apple’s answer in its timeline', async () => {
    const device = await settled()
    const { id } = await queue(device)
    const shown = await until(async () => {
      const command = (await server.api('GET', `/commands/${id}`)).json<{ state: string; timeline: { state: string; apns_id?: string }[] }>()
      return command.state === 'push_accepted' && command
    }, 'the push')
    expect(shown.timeline.map((entry) => entry.state)).toEqual(['queued', 'push_accepted'])
    const [push] = await pushesTo(device)
    expect(shown.timeline[1]?.apns_id).toBe(push?.apns_id)
    expect(server.apns.violations).toEqual([])
    expect(server.apns.received.at(-1)).toMatchObject({ topic: TOPIC, pushMagic: 'E9B3C0F6-52D1-4A8B-9C77-1F2E3D4C5B6A' })
  })

  it('leaves one wish however many commands wait; the push does not fulfil it, the visit does', async () => {
    const device = await settled()
    await queue(device)
    await queue(device, 'SecurityInfo')
    await until(async () => (await pushesTo(device)).length > 0, 'a push')
    await until(async () => (await wakeOf(device))?.attempt === 1, 'the wake to be settled')
    const first = await device.idle()
    expect(await wakeOf(device)).toBeDefined()
    const second = await device.acknowledge(first!, { ProfileList: [] })
    await device.acknowledge(second!, { SecurityInfo: {} })
    expect(await wakeOf(device)).toBeUndefined()
  })

  it('is pushed for again later when the device does not come', async () => {
    const device = await settled()
    await server.db.query(`update enrollments set token_updated_at = now() - interval '1 day' where device_key = $1`, [device.udid])
    await queue(device)
    const wake = await until(async () => {
      const row = await wakeOf(device)
      return row?.attempt === 1 && row
    }, 'the first push to be settled')
    expect(wake.minutes).toBeGreaterThan(14)
    expect(wake.minutes).toBeLessThan(17)
    await server.db.query(`update push_wakes set due_at = now() where enrollment_id = (select id from enrollments where device_key = $1)`, [device.udid])
    const later = await until(async () => {
      const row = await wakeOf(device)
      return row?.attempt === 2 && row
    }, 'the second push')
    expect(later.minutes).toBeGreaterThan(59)
    expect(await pushesTo(device)).toHaveLength(2)
  })
})

describe('what Apple answers', () => {
  beforeEach(async () => {
    await server.db.query('delete from push_wakes')
  })

  it('410 stops pushing until the next TokenUpdate, and leaves the device enrolled', async () => {
    const device = await settled()
    const [row] = await server.db.query<{ push_token: Buffer }>('select push_token from enrollments where device_key = $1', [device.udid])
    server.apns.unregister(row!.push_token, new Date(Date.now() + 60_000))
    await queue(device)
    await until(async () => (await enrollmentOf(device))?.push_stopped_at ?? undefined, 'pushing to stop')
    expect(await enrollmentOf(device)).toMatchObject({ state: 'enrolled', push_trouble: 'Unregistered' })
    expect((await server.api('GET', `/devices/${device.udid}`)).json()).toMatchObject({ enrollment: { state: 'enrolled', push_trouble: 'Unregistered' } })
    await device.tokenUpdate()
    expect(await enrollmentOf(device)).toEqual({ state: 'enrolled', push_stopped_at: null, push_trouble: null })
    await until(async () => (await pushesTo(device)).at(-1)?.outcome === 'accepted', 'a push to the new token')
  })

  it('a 410 older than the last TokenUpdate is ignored', async () => {
    const device = await settled()
    const [row] = await server.db.query<{ push_token: Buffer }>('select push_token from enrollments where device_key = $1', [device.udid])
    server.apns.unregister(row!.push_token, new Date(Date.now() - 3_600_000))
    await queue(device)
    await until(async () => (await pushesTo(device)).length === 1, 'the push')
    await until(async () => (await wakeOf(device))?.attempt === 1, 'it to be settled')
    expect(await enrollmentOf(device)).toMatchObject({ push_stopped_at: null, push_trouble: null })
  })

  it('BadDeviceToken flags the device and does not unenroll it', async () => {
    const device = await enrolledDevice(server, newUdid(), { token: { Token: Buffer.alloc(32, 7) } })
    await queue(device)
    await until(async () => (await enrollmentOf(device))?.push_trouble === 'BadDeviceToken', 'the flag')
    expect((await enrollmentOf(device))?.state).toBe('enrolled')
  })

  it('429 and 503 are tried again after the time Apple asks for', async () => {
    const device = await settled()
    server.apns.answerNext(429, { reason: 'TooManyRequests', retryAfter: 1200 }, 1)
    await queue(device)
    await until(async () => (await wakeOf(device))?.attempt === 1, 'the answer')
    expect((await wakeOf(device))?.minutes).toBeGreaterThan(18)
    expect(await pushesTo(device)).toMatchObject([{ outcome: 'refused', status: 429, reason: 'TooManyRequests' }])
  })

  it('403 stops the topic until a certificate is uploaded; then everything goes on', async () => {
    const device = await settled()
    server.apns.answerNext(403, { reason: 'BadCertificate' }, 1)
    await queue(device)
    const stopped = () => server.db.query('select stopped_reason from push_certificates where stopped_reason is not null')
    await until(async () => (await stopped()).length > 0, 'the topic to stop')
    const [shown] = (await server.api('GET', '/push-certificates')).json<{ data: { stopped_reason: string }[] }>().data
    expect(shown?.stopped_reason).toBe('BadCertificate')
    expect((await server.api('POST', '/enrollment-links', { name: 'x' })).json()).toMatchObject({ ready: false, not_ready_reason: 'no_push_certificate' })
    expect((await uploadPushCertificate(server, server.apns)).status).toBe(201)
    await until(async () => (await pushesTo(device)).at(-1)?.outcome === 'accepted', 'a push with the new certificate')
  })
})
