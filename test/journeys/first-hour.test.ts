import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectApnsListener, enrollDevice, EnrollmentRefused, startFleet, type ApnsListener, type Fleet, type SimulatedDevice } from '../../src/simulator/index.ts'
import { startBramley, until, type TestServer } from '../support/bramley.ts'

let server: TestServer
let listener: ApnsListener
let fleet: Fleet
beforeAll(async () => {
  server = await startBramley()
  listener = await connectApnsListener({ host: '127.0.0.1', port: server.apns.port, ca: server.apns.caPem })
})
afterAll(async () => {
  await fleet.stop()
  await listener.close()
  await server.stop()
})

interface Command {
  id: string
  state: string
  result: Record<string, unknown> | null
  error_chain: { error_code: number }[] | null
  timeline: { state: string }[]
}
const queue = async (device: SimulatedDevice, body: object) => (await server.api('POST', `/devices/${device.hardware.serialNumber}/commands`, body)).json<Command>()
const read = async (id: string) => (await server.api('GET', `/commands/${id}`)).json<Command>()
const ended = (id: string) => until(async () => {
  const command = await read(id)
  return ['acknowledged', 'error', 'format_error'].includes(command.state) && command
}, `${id} to end`)

describe('the first hour with simulated phones, over real HTTPS, woken by real pushes', () => {
  it('five phones enroll by one link, and nobody touches them again', async () => {
    fleet = await startFleet({ url: server.url, link: await server.link({ max_uses: 5 }), count: 5, ca: server.ca, apns: { host: '127.0.0.1', port: server.apns.port, ca: server.apns.caPem } })
    expect([fleet.devices.length, fleet.failures]).toEqual([5, []])
    const list = (await server.api('GET', '/devices?state=enrolled&include=total&limit=2')).json<{ data: { serial_number: string }[]; total: number; next_cursor: string }>()
    expect([list.total, list.data.length]).toEqual([5, 2])
    const rest = (await server.api('GET', `/devices?state=enrolled&limit=500&cursor=${list.next_cursor}`)).json<{ data: { serial_number: string }[]; has_more: boolean }>()
    expect(rest.has_more).toBe(false)
    const serials = [...list.data, ...rest.data].map((device) => device.serial_number)
    expect(serials.toSorted((a, b) => a.localeCompare(b))).toEqual(fleet.devices.map((device) => device.hardware.serialNumber).toSorted((a, b) => a.localeCompare(b)))
    const commands = await Promise.all(fleet.devices.map((device) => queue(device, { type: 'DeviceInformation', params: { Queries: ['DeviceName', 'OSVersion', 'BatteryLevel'] } })))
    for (const { id } of commands) {
      const done = await ended(id)
      expect(done.state).toBe('acknowledged')
      expect(done.result?.['QueryResponses']).toMatchObject({ OSVersion: expect.any(String), BatteryLevel: expect.any(Number) })
      expect(done.timeline.map((entry) => entry.state)).toContain('push_accepted')
    }
    expect(server.apns.violations).toEqual([])
  })

  it('the sixth phone is refused by the used-up link, and nothing is issued for it', async () => {
    const before = await server.db.query('select count(*) from certificates')
    const link = (await server.api('GET', '/enrollment-links')).json<{ data: { url: string }[] }>().data[0]?.url.split('/e/')[1] ?? ''
    await expect(enrollDevice({ url: server.url, link, ca: server.ca, patience: { attempts: 1 } })).rejects.toThrow(EnrollmentRefused)
    expect(await server.db.query('select count(*) from certificates')).toEqual(before)
  })

  it('a profile is installed, listed and removed', async () => {
    const phone = fleet.devices[0]!
    const profile = Buffer.from('<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>PayloadType</key><string>Configuration</string><key>PayloadVersion</key><integer>1</integer><key>PayloadIdentifier</key><string>com.example.wifi</string><key>PayloadUUID</key><string>0B8F3C1E-0000-4000-8000-000000000001</string><key>PayloadContent</key><array><dict><key>PayloadType</key><string>com.apple.webClip.managed</string><key>PayloadVersion</key><integer>1</integer><key>PayloadIdentifier</key><string>com.example.wifi.clip</string><key>PayloadUUID</key><string>0B8F3C1E-0000-4000-8000-000000000002</string><key>URL</key><string>https://example.com</string><key>Label</key><string>x</string></dict></array></dict></plist>')
    expect((await ended((await queue(phone, { type: 'InstallProfile', params: { Payload: { $data: profile.toString('base64') } } })).id)).state).toBe('acknowledged')
    const listed = await ended((await queue(phone, { type: 'ProfileList' })).id)
    expect(JSON.stringify(listed.result)).toContain('com.example.wifi')
    expect((await ended((await queue(phone, { type: 'RemoveProfile', params: { Identifier: 'com.example.wifi' } })).id)).state).toBe('acknowledged')
    expect((await ended((await queue(phone, { type: 'RemoveProfile', params: { Identifier: 'com.example.wifi' } })).id)).state).toBe('error')
  })

  it('a locked phone says NotNow, is pushed again later, and answers when it is unlocked', async () => {
    const phone = fleet.devices[1]!
    await phone.behave({ notNow: 'until_unlocked' })
    const { id } = await queue(phone, { type: 'InstalledApplicationList' })
    const lock = await queue(phone, { type: 'CertificateList' })
    await until(async () => (await read(id)).state === 'not_now' || (await read(id)).state === 'acknowledged', 'an answer')
    await ended(lock.id)
    await phone.behave('answers')
    await phone.unlock()
    await phone.poll()
    expect((await ended(id)).state).toBe('acknowledged')
  })

  it('a phone that is off gets its command when it is back', async () => {
    const phone = fleet.devices[2]!
    await phone.behave('offline')
    const { id } = await queue(phone, { type: 'SecurityInfo' })
    await until(async () => (await read(id)).state === 'push_accepted', 'the push')
    await phone.behave('answers')
    expect((await ended(id)).state).toBe('acknowledged')
  })

  it('what an unsupervised phone refuses is shown with Apple’s code', async () => {
    const phone = fleet.devices[3]!
    const failed = await ended((await queue(phone, { type: 'RestartDevice', force: true })).id)
    expect(failed).toMatchObject({ state: 'error', error_chain: [{ error_code: 12021 }] })
    const allowed = await ended((await queue(phone, { type: 'ClearPasscode' })).id)
    expect(allowed.state).toBe('acknowledged')
  })

  it('a renewed identity keeps the queue; the old certificate stops working when the new one was used', async () => {
    const phone = fleet.devices[4]!
    await phone.behave('offline')
    const { id } = await queue(phone, { type: 'ProfileList' })
    await phone.behave('answers')
    await phone.renewIdentity()
    expect((await ended(id)).state).toBe('acknowledged')
    const rows = await server.db.query<{ purpose: string; revoked: boolean }>(
      `select c.purpose, c.revoked_at is not null as revoked from certificates c join enrollments e on e.id = c.enrollment_id where e.device_key = $1 order by c.issued_at`, [phone.hardware.udid])
    expect(rows).toEqual([{ purpose: 'enrollment', revoked: true }, { purpose: 'renewal', revoked: false }])
  })

  it('a phone that leaves is shown as gone and gets no command', async () => {
    const phone = fleet.devices[0]!
    await phone.checkOut()
    expect((await server.api('GET', `/devices/${phone.hardware.serialNumber}`)).json()).toMatchObject({ enrollment: { state: 'unenrolled' } })
    expect((await server.api('POST', `/devices/${phone.hardware.serialNumber}/commands`, { type: 'ProfileList' })).status).toBe(410)
  })
})
