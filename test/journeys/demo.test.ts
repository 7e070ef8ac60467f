import { copyFileSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { setupCommand } from '../../src/cli/setup.ts'
import { startBramley, until, type TestServer } from '../support/bramley.ts'

const SETTINGS = { BRAMLEY_SIMULATOR: '1', BRAMLEY_SIMULATOR_LISTEN: '127.0.0.1:0' }

let server: TestServer
beforeAll(async () => {
  server = await startBramley({ settings: SETTINGS, pushCertificate: false })
})
afterAll(() => server.stop())

const folderOf = (at: TestServer) => join(at.dataFolder, 'simulator', 'devices')
const fileOf = (serial: string) => join(folderOf(server), `${serial}.json`)

interface Shown {
  serial_number: string
  state: string
  reason: string | null
  supervised: boolean
  behaviour: string
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

describe('the simulated devices of a server', () => {
  const add = async (body: object) => {
    const answer = await server.api('POST', '/simulator/devices', body)
    expect(answer.status).toBe(202)
    return answer.json<{ data: Shown[] }>().data.map((device) => device.serial_number)
  }
  const addOne = async (body: object = {}) => {
    const [serial = ''] = await add({ count: 1, ...body })
    await until(async () => (await find(serial))?.state === 'enrolled', serial)
    return serial
  }
  const find = async (serial: string) => (await simulated()).find((device) => device.serial_number === serial)
  const behave = async (serial: string, behaviour: string) => (
    (await server.api('PATCH', `/simulator/devices/${serial}`, { behaviour })).json<Shown>().behaviour
  )
  const enrollmentOf = async (serial: string) => (
    (await server.api('GET', `/devices/${serial}`)).json<{ enrollment?: { state: string } }>().enrollment?.state
  )
  const queue = async (serial: string, body: object) => (
    (await server.api('POST', `/devices/${serial}/commands`, body)).json<{ id: string }>().id
  )
  const becomes = (id: string, state: string) => until(async () => (
    (await server.api('GET', `/commands/${id}`)).json<{ state: string }>().state === state
  ), state)

  it('are the samples, as somebody wants them', async () => {
    await add({ sample: true, supervised: true, behaviour: 'delay:1' })
    const list = await allEnrolled(server, 6)
    expect(list.map(({ supervised, behaviour }) => [supervised, behaviour])).toEqual(list.map(() => [true, 'delay:1']))
    await server.api('DELETE', '/simulator/devices')
  })

  it('are as many as were asked for, or refused', async () => {
    for (const body of [{}, { count: 0 }, { count: 51 }, { count: 1, sample: true }, { sample: false }, { counts: 1 }]) {
      expect((await server.api('POST', '/simulator/devices', body)).status).toBe(422)
    }
    expect(await simulated()).toEqual([])
    expect(new Set(await add({ count: 3 })).size).toBe(3)
    await allEnrolled(server, 3)
    await server.api('DELETE', '/simulator/devices')
  })

  it('are made once when two ask for the samples at the same moment', async () => {
    const [one, two] = await Promise.all([add({ sample: true }), add({ sample: true })])
    expect([...one, ...two].toSorted()).toEqual([...new Set([...one, ...two])].toSorted())
    await allEnrolled(server, 6)
    await server.api('DELETE', '/simulator/devices')
  })

  it('put a command off while they are locked, and carry it out when somebody unlocks them', async () => {
    const serial = await addOne()
    expect(await behave(serial, 'not-now')).toBe('not-now')
    const id = await queue(serial, { type: 'SecurityInfo' })
    await becomes(id, 'not_now')
    expect(await behave(serial, 'answers')).toBe('answers')
    await becomes(id, 'acknowledged')
  })

  it('have on the disk what a command changed, before anybody ends the server', async () => {
    const serial = await addOne()
    await becomes(await queue(serial, { type: 'DeviceLock', params: { Message: 'Found on the disk' } }), 'acknowledged')
    await until(async () => readFileSync(fileOf(serial), 'utf8').includes('Found on the disk'), 'the file')
  })

  it('are gone, here and on the disk, when they are erased', async () => {
    const serial = await addOne()
    await becomes(await queue(serial, { type: 'EraseDevice' }), 'acknowledged')
    await until(async () => (await find(serial)) === undefined, 'the list')
    expect(readdirSync(folderOf(server))).not.toContain(`${serial}.json`)
  })

  it('check out when they are removed, also from where there is no network', async () => {
    const serial = await addOne()
    await behave(serial, 'offline')
    await server.api('DELETE', `/simulator/devices/${serial.toLowerCase()}`)
    expect([await enrollmentOf(serial), await find(serial)]).toEqual(['unenrolled', undefined])
  })

  it('leave when they have enrolled, if they were removed before', async () => {
    const [serial = ''] = await add({ count: 1 })
    expect((await server.api('DELETE', `/simulator/devices/${serial}`)).status).toBe(200)
    await until(async () => (await enrollmentOf(serial)) === 'unenrolled', 'the check-out')
    expect(await find(serial)).toBeUndefined()
    expect(readdirSync(folderOf(server))).not.toContain(`${serial}.json`)
  })

  it('behave after a restart as before; strangers and broken files do not keep the server from starting', async () => {
    await server.api('DELETE', '/simulator/devices')
    const serial = await addOne({ behaviour: 'error:0.25' })
    const stranger = readFileSync(fileOf(serial), 'utf8').replaceAll(/"udid":"[^"]*"/g, '"udid":"00008150-000000000000000F"')
    writeFileSync(fileOf('STRANGER'), stranger.replaceAll(serial, 'STRANGER'))
    writeFileSync(fileOf('BROKEN'), '{"device":')
    writeFileSync(fileOf('EMPTY'), '{}')
    copyFileSync(fileOf(serial), fileOf('COPY'))
    await server.restart()
    const list = await simulated()
    expect(list.map((device) => [device.serial_number, device.behaviour])).toEqual([[serial, 'error:0.25']])
    await server.api('DELETE', '/simulator/devices')
    expect(readdirSync(folderOf(server))).toEqual([])
  })

  it('hear pushes again from a stand-in that began anew', async () => {
    const serial = await addOne()
    rmSync(join(server.dataFolder, 'simulator', 'apns'), { recursive: true })
    await server.restart()
    await becomes(await queue(serial, { type: 'ProfileList' }), 'acknowledged')
    await server.api('DELETE', '/simulator/devices')
  })

  it('finish enrolling what they have begun when the server ends, and begin nothing more; no error is logged', async () => {
    const enrolled = () => server.db.query(`select 1 from enrollments where state in ('identity_issued', 'enrolled')`)
    const before = (await enrolled()).length
    await add({ count: 30 })
    const first = await until(async () => {
      const there = (await simulated()).filter((device) => device.state === 'enrolled')
      return there.length > 0 && there
    }, 'the first')
    await server.restart()
    const back = await simulated()
    // Two were on their way, and two more may have come since we asked.
    expect(back.length).toBeLessThanOrEqual(first.length + 4)
    // Neither side has a device that the other does not have.
    expect(await enrolled()).toHaveLength(before + back.length)
    expect(back.map((device) => device.state)).toEqual(back.map(() => 'enrolled'))
    expect(readdirSync(folderOf(server))).toHaveLength(back.length)
    expect(server.logs.filter((line) => Number(line['level']) >= 50)).toEqual([])
  })
})

describe('bramley setup --sample', () => {
  afterEach(() => {
    vi.unstubAllEnvs()
    vi.restoreAllMocks()
  })

  /** Runs it as on the machine of a server; what it said. */
  async function setup(at: TestServer, port = new URL(at.url).port) {
    const said = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const) {
      vi.spyOn(process[name], 'write').mockImplementation((text) => {
        said[name] += String(text)
        return true
      })
    }
    // What runs the tests has settings of its own, which are none of the program's.
    for (const name of Object.keys(process.env)) if (name.startsWith('BRAMLEY_')) vi.stubEnv(name, undefined)
    vi.stubEnv('BRAMLEY_CONFIG', '/dev/null')
    vi.stubEnv('BRAMLEY_DATA', at.dataFolder)
    vi.stubEnv('BRAMLEY_DATABASE_URL', at.db.url)
    vi.stubEnv('BRAMLEY_LISTEN', `127.0.0.1:${port}`)
    await setupCommand().parseAsync(['--sample'], { from: 'user' })
    vi.restoreAllMocks()
    return said
  }

  it('prints a key and lets the running server play six phones, once', async () => {
    await server.api('DELETE', '/simulator/devices')
    const first = await setup(server)
    expect(first.stdout).toMatch(/^brm_live_\w+\n$/)
    expect(first.stderr).toContain('\n6 simulated phones are enrolling.\n')
    expect((await setup(server)).stderr).toContain('\nThe simulated phones are there already.\n')
    await allEnrolled(server, 6)
  })

  it('prints the key all the same when there is no simulator, or no server', async () => {
    const real = await startBramley()
    const off = await setup(real)
    expect(off.stderr).toContain('\nNo simulated phones: The simulator is off. Start the server')
    const away = await setup(real, '1')
    expect(away.stderr).toContain('\nNo simulated phones: the server does not answer at https://localhost:1 (')
    expect(away.stderr).toContain('ECONNREFUSED')
    for (const { stdout } of [off, away]) expect(stdout).toMatch(/^brm_live_\w+\n$/)
    await real.stop()
  })
})
