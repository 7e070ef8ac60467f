import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBramley, until, type TestServer } from '../support/bramley.ts'

const SETTINGS = { BRAMLEY_SIMULATOR: '1', BRAMLEY_SIMULATOR_LISTEN: '127.0.0.1:0' }

let server: TestServer
beforeAll(async () => {
  server = await startBramley({ settings: SETTINGS, pushCertificate: false })
})
afterAll(() => server.stop())

interface Shown {
  serial_number: string
  state: string
  reason: string | null
  supervised: boolean
}
const simulated = async (at = server) => (await at.api('GET', '/simulator/devices')).json<{ data: Shown[] }>().data
const allEnrolled = (at: TestServer, count: number) => until(async () => {
  const list = await simulated(at)
  return list.length === count && list.every((device) => device.state === 'enrolled') && list
}, 'the fleet')
const ask = async (at: TestServer, serial: string, body: object) => {
  const { id } = (await at.api('POST', `/devices/${serial}/commands`, body)).json<{ id: string }>()
  return until(async () => {
    const command = (await at.api('GET', `/commands/${id}`)).json<{ state: string; result: unknown }>()
    return command.state === 'acknowledged' && command
  }, `${serial} to answer`)
}

describe('the demo of npm start', () => {
  it('plays the six sample phones itself: enrolled by a real link, woken by real pushes, answering', async () => {
    const added = await server.api('POST', '/simulator/devices', { sample: true })
    expect([added.status, added.json<{ data: Shown[] }>().data.length]).toEqual([202, 6])
    const list = await allEnrolled(server, 6)
    expect(list.filter((device) => device.supervised).map((device) => device.serial_number)).toEqual(['DMQVGC0DHLF3', 'DMQVGC0DHLF4'])
    await Promise.all(list.map((device) => ask(server, device.serial_number, { type: 'DeviceInformation', params: { Queries: ['IsSupervised', 'DeviceName'] } })))
    const kiosk = await until(async () => {
      const shown = (await server.api('GET', '/devices/DMQVGC0DHLF3')).json<{ supervised: boolean | null; simulated: boolean }>()
      return shown.supervised !== null && shown
    }, 'the inventory')
    expect(kiosk).toMatchObject({ supervised: true, simulated: true })
    expect((await server.api('POST', '/simulator/devices', { sample: true })).json<{ data: Shown[] }>().data).toEqual([])
  })

  it('keeps the phones’ keys in files for the owner only', () => {
    const folder = join(server.dataFolder, 'simulator', 'devices')
    expect(readdirSync(folder)).toHaveLength(6)
    expect(readdirSync(folder).map((file) => statSync(join(folder, file)).mode & 0o777)).toEqual(Array.from({ length: 6 }, () => 0o600))
  })

  it('lets a phone misbehave and behave', async () => {
    expect((await server.api('PATCH', '/simulator/devices/DMQVGC0DHLF1', { behaviour: 'sulking' })).status).toBe(422)
    expect((await server.api('PATCH', '/simulator/devices/NOBODY', { behaviour: 'answers' })).status).toBe(404)
    expect((await server.api('PATCH', '/simulator/devices/DMQVGC0DHLF1', { behaviour: 'not-now:1' })).status).toBe(200)
    const { id } = (await server.api('POST', '/devices/DMQVGC0DHLF1/commands', { type: 'SecurityInfo' })).json<{ id: string }>()
    const command = await until(async () => {
      const shown = (await server.api('GET', `/commands/${id}`)).json<{ state: string; timeline: { state: string }[] }>()
      return (shown.state === 'not_now' || shown.state === 'acknowledged') && shown
    }, 'NotNow')
    expect(command.timeline.map((entry) => entry.state)).toContain('not_now')
  })

  it('goes on after a restart with the same phones, then checks them out and forgets them', async () => {
    const enrollments = await server.db.query('select id, device_key, certificate_sha256 from enrollments order by id')
    await server.restart()
    await allEnrolled(server, 6)
    await ask(server, 'DMQVGC0DHLF0', { type: 'ProfileList' })
    expect(await server.db.query('select id, device_key, certificate_sha256 from enrollments order by id')).toEqual(enrollments)
    expect((await server.api('DELETE', '/simulator/devices/DMQVGC0DHLF0')).json<{ data: Shown[] }>().data).toHaveLength(5)
    expect((await server.api('GET', '/devices/DMQVGC0DHLF0')).json()).toMatchObject({ enrollment: { state: 'unenrolled' } })
    await server.api('DELETE', '/simulator/devices')
    expect(await simulated()).toEqual([])
    expect(readdirSync(join(server.dataFolder, 'simulator', 'devices'))).toEqual([])
  })

  it('is off where a simulator has no place', async () => {
    const real = await startBramley()
    const answers = [await real.api('GET', '/simulator/devices'), await real.api('POST', '/simulator/devices', { sample: true })]
    expect(answers.map((answer) => [answer.status, answer.json<{ code: string }>().code])).toEqual([[409, 'simulator_off'], [409, 'simulator_off']])
    await real.stop()
  })
})
