import { readFileSync, readdirSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dumpTables, startBramley, still, type TestServer } from '../support/bramley.ts'
import { CHECKIN, REPORT, enrolledDevice, obtainIdentity, rawDevice, type RawDevice } from '../support/raw-device.ts'

const SAMPLES = new URL('../fixtures/apple/samples/', import.meta.url)
const sample = (name: string) => readFileSync(new URL(name, SAMPLES))
const IPHONE = '00008120-001A2D3C4E5F601E'
const MAC = '564D3E1A-5C7B-5F6A-9B1E-3C2D1A0B9F8E'
const PAD = '00008101-000B5C2A1E08001E'
const VISION = '00008112-000A3C120E90401E'
const uuidOf = (n: string) => `0C${n.padStart(6, '0')}-5B1D-4E8A-9D2F-6A7B8C9D0E1F`

let server: TestServer
let phone: RawDevice
let mac: RawDevice
let vision: RawDevice
const enrollment = async (udid: string) => (await server.db.query<Record<string, unknown>>(
  `select e.*, d.name, d.serial_number from enrollments e join devices d on d.id = e.device_id where e.device_key = $1 and e.channel = 'device' order by generation desc limit 1`, [udid]))[0]

async function queueRaw(udid: string, n: string, type: string, user?: string): Promise<void> {
  // No push goes out for it: one in flight would be recorded at some later moment, whatever the device said meanwhile.
  await server.db.query('update enrollments set push_stopped_at = now() where push_token is not null')
  const plist = `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>CommandUUID</key><string>${uuidOf(n)}</string><key>Command</key><dict><key>RequestType</key><string>${type}</string></dict></dict></plist>`
  const answer = await server.api('PUT', `/devices/${udid}/commands?force=true${user === undefined ? '' : `&user=${user}`}`, Buffer.from(plist), { 'content-type': 'application/xml' })
  expect({ type, status: answer.status, body: answer.status === 202 ? '' : answer.body.toString() }).toEqual({ type, status: 202, body: '' })
}

/** Sends a report again: 200, and every table is as it was. */
async function expectNothingTwice(device: RawDevice, body: Buffer): Promise<void> {
  await still(server)
  const before = await dumpTables(server.db)
  expect((await device.put(body, REPORT)).status).toBe(200)
  expect(await dumpTables(server.db)).toEqual(before)
}

const stateOf = async (n: string) => (await server.db.query<{ state: string; fields: unknown; error_chain: unknown }>(
  `select state, null as fields, null as error_chain from commands where command_uuid = $1 union all select state, fields, error_chain from command_results where command_uuid = $1`, [uuidOf(n)]))[0]

beforeAll(async () => {
  server = await startBramley()
})
afterAll(() => server.stop())

describe('the check-in samples', () => {
  it('01: Authenticate is answered with nothing and begins an enrollment', async () => {
    const { identity } = await obtainIdentity(server, await server.link())
    phone = rawDevice(server, IPHONE, identity)
    const answer = await phone.put(sample('valid/01-authenticate-ios.plist'), CHECKIN)
    expect([answer.status, answer.body.length]).toEqual([200, 0])
    expect(await enrollment(IPHONE)).toMatchObject({ state: 'identity_issued', push_token: null, serial_number: 'F2LX9K7QN70R' })
  })

  it('04: TokenUpdate enrolls, keeps token, magic, UnlockToken and the waiting flag, and schedules a push', async () => {
    const answer = await phone.put(sample('valid/04-tokenupdate-ios-awaiting.plist'), CHECKIN)
    expect([answer.status, answer.body.length]).toEqual([200, 0])
    const row = await enrollment(IPHONE)
    expect(row).toMatchObject({ state: 'enrolled', push_magic: 'E9B3C0F6-52D1-4A8B-9C77-1F2E3D4C5B6A', awaiting_configuration: true })
    expect(row?.['sealed_unlock_token']).not.toBeNull()
    expect(await server.db.query('select 1 from push_wakes where enrollment_id = $1', [row?.['id']])).toHaveLength(1)
  })

  it('05: a later TokenUpdate replaces the token; what it leaves out is kept', async () => {
    const before = await enrollment(IPHONE)
    expect((await phone.put(sample('valid/05-tokenupdate-ios-later.plist'), CHECKIN)).status).toBe(200)
    const after = await enrollment(IPHONE)
    expect(after?.['push_token']).not.toEqual(before?.['push_token'])
    expect(after?.['sealed_unlock_token']).toEqual(before?.['sealed_unlock_token'])
    expect(after).toMatchObject({ awaiting_configuration: true, state: 'enrolled' })
  })

  it('01: said again, it forgets token, magic, UnlockToken and the waiting flag, and ends what waited', async () => {
    await queueRaw(IPHONE, 'D', 'ProfileList')
    expect((await phone.put(sample('valid/01-authenticate-ios.plist'), CHECKIN)).status).toBe(200)
    expect(await enrollment(IPHONE)).toMatchObject({
      state: 'identity_issued', push_token: null, push_magic: null, sealed_unlock_token: null, sealed_bootstrap_token: null, awaiting_configuration: false,
    })
    expect(await stateOf('D')).toMatchObject({ state: 'superseded' })
    expect((await phone.put(sample('valid/04-tokenupdate-ios-awaiting.plist'), CHECKIN)).status).toBe(200)
    expect(await enrollment(IPHONE)).toMatchObject({ state: 'enrolled' })
  })

  it('06: the device channel of a Mac enrolls', async () => {
    const { identity } = await obtainIdentity(server, await server.link())
    mac = rawDevice(server, MAC, identity)
    expect((await mac.put(sample('valid/02-authenticate-macos.plist'), CHECKIN)).status).toBe(200)
    expect((await mac.put(sample('valid/06-tokenupdate-macos-device.plist'), CHECKIN)).status).toBe(200)
    expect(await enrollment(MAC)).toMatchObject({ state: 'enrolled', name: 'Mac 2.14' })
  })
})

describe('the command samples', () => {
  it('40-43: Idle gets nothing, or a command of exactly that channel', async () => {
    await enrolledDevice(server, PAD)
    const byod = await obtainIdentity(server, await server.link())
    const user = rawDevice(server, 'B1C0A7E4-3D52-49F0-8A6B-77D0E1F2A3B4', byod.identity)
    expect((await user.put(sample('valid/03-authenticate-user-enrollment.plist'), CHECKIN)).status).toBe(200)
    expect((await user.put(sample('valid/09-tokenupdate-user-enrollment.plist'), CHECKIN)).status).toBe(200)
    const pad = (await server.db.query<{ id: string }>('select id from enrollments where device_key = $1', [PAD]))[0]
    expect(pad).toBeDefined()
    for (const [device, file] of [[phone, '40-idle-ios'], [mac, '41-idle-macos-user-authtoken'], [user, '43-idle-user-enrollment']] as const) {
      const answer = await device.put(sample(`valid/${file}.plist`), REPORT)
      expect({ file, status: answer.status, length: answer.body.length }).toEqual({ file, status: 200, length: 0 })
    }
  })

  it('41: a command of the device channel is not handed to a user channel', async () => {
    await queueRaw(MAC, '3', 'SecurityInfo')
    expect((await mac.put(sample('valid/41-idle-macos-user-authtoken.plist'), REPORT)).body).toHaveLength(0)
    expect((await mac.idle())?.['CommandUUID']).toBe(uuidOf('3'))
  })

  it('hostile 24: a report of the iPhone on the Mac’s command is answered, logged and attached to nothing', async () => {
    await still(server)
    const before = await dumpTables(server.db)
    expect((await phone.put(sample('hostile/24-ack-foreign-command.plist'), REPORT)).status).toBe(200)
    expect(await dumpTables(server.db)).toEqual(before)
    expect(await stateOf('3')).toMatchObject({ state: 'delivered' })
    expect(server.logs.some((line) => JSON.stringify(line).includes('no_open_command'))).toBe(true)
  })

  it('44-48: an acknowledgement ends its command and keeps every key', async () => {
    const answers = { 1: ['44-ack-plain', 'ProfileList'], 2: ['45-ack-deviceinformation', 'DeviceInformation'], 4: ['47-ack-installapplication', 'InstallApplication'], 5: ['48-ack-devicelocation', 'DeviceLocation'] }
    for (const [n, [file, type]] of Object.entries(answers)) {
      const body = sample(`valid/${file}.plist`).toString()
      const own = /<key>CommandUUID<\/key>\s*<string>0C00000(\w)/.exec(body)?.[1] ?? n
      await queueRaw(IPHONE, own, type ?? '')
      expect((await phone.put(Buffer.from(body), REPORT)).status).toBe(200)
      expect(await stateOf(own)).toMatchObject({ state: 'acknowledged' })
      await expectNothingTwice(phone, Buffer.from(body))
      if (file === '45-ack-deviceinformation') {
        const name = /<key>DeviceName<\/key>\s*<string>([^<]+)/.exec(body)?.[1]?.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
        expect(name).toMatch(/[<&]/)
        expect(await stateOf(own)).toMatchObject({ fields: { QueryResponses: { DeviceName: name } } })
      }
    }
    expect((await mac.put(sample('valid/46-ack-securityinfo-macos.plist'), REPORT)).status).toBe(200)
    expect(await stateOf('3')).toMatchObject({ state: 'acknowledged' })
  })

  it('49-52: failures inside an answer, an error chain, a format error and NotNow are told apart', async () => {
    const numbers: Record<string, string> = {}
    for (const file of ['49-ack-settings-partial-failure', '50-error-chain', '51-commandformaterror', '52-notnow']) {
      const body = sample(`valid/${file}.plist`)
      const n = /<key>CommandUUID<\/key>\s*<string>0C00000(\w)/.exec(body.toString())?.[1] ?? ''
      numbers[file] = n
      await queueRaw(IPHONE, n, 'Settings')
      const answer = await phone.put(body, REPORT)
      expect({ file, status: answer.status }).toEqual({ file, status: 200 })
      expect(answer.body.toString()).not.toContain(uuidOf(n))
      if (file !== '52-notnow') await expectNothingTwice(phone, body)
    }
    expect(await stateOf(numbers['49-ack-settings-partial-failure'] ?? '')).toMatchObject({ state: 'acknowledged', fields: { Settings: expect.anything() } })
    const told = [...sample('valid/50-error-chain.plist').toString().matchAll(/<key>ErrorCode<\/key>\s*<integer>(\d+)/g)].map(([, code]) => Number(code))
    expect([told.length, (await stateOf(numbers['50-error-chain'] ?? ''))?.error_chain]).toMatchObject([2, told.map((errorCode) => ({ errorCode }))])
    expect(await stateOf(numbers['50-error-chain'] ?? '')).toMatchObject({ state: 'error' })
    expect(await stateOf(numbers['51-commandformaterror'] ?? '')).toMatchObject({ state: 'format_error' })
    expect(await stateOf(numbers['52-notnow'] ?? '')).toMatchObject({ state: 'not_now' })
    // The next visit: of all these only what was put off comes again.
    const again = await phone.idle()
    expect(again?.['CommandUUID']).toBe(uuidOf(numbers['52-notnow'] ?? ''))
    expect(await phone.acknowledge(again ?? {})).toBeUndefined()
  })

  it('53: NotNow of a user holds that command back until the user’s next visit, and nobody else', async () => {
    expect((await mac.put(sample('valid/07-tokenupdate-macos-user.plist'), CHECKIN)).status).toBe(200)
    const idle = async () => (await mac.put(sample('valid/41-idle-macos-user-authtoken.plist'), REPORT)).body.toString()
    await queueRaw(MAC, 'A', 'ProfileList', 'ada')
    await queueRaw(MAC, 'E', 'ProfileList')
    expect(await idle()).toContain(uuidOf('A'))
    const answer = await mac.put(sample('valid/53-notnow-macos-user.plist'), REPORT)
    expect([answer.status, answer.body.length]).toEqual([200, 0])
    expect(await stateOf('A')).toMatchObject({ state: 'not_now' })
    const forDevice = await mac.idle()
    expect(forDevice?.['CommandUUID']).toBe(uuidOf('E'))
    expect(await mac.acknowledge(forDevice ?? {})).toBeUndefined()
    expect(await stateOf('A')).toMatchObject({ state: 'not_now' })
    expect(await idle()).toContain(uuidOf('A'))
  })

  it('54, 55: an acknowledgement without anything else, and one with keys that nobody knows yet', async () => {
    vision = await enrolledDevice(server, VISION, { authenticate: { ProductName: 'RealityDevice14,1' } })
    for (const [device, n, file, type] of [[phone, 'B', '54-ack-declarativemanagement', 'DeclarativeManagement'], [vision, 'C', '55-ack-unknown-extra-keys', 'RestartDevice']] as const) {
      await queueRaw(device.udid, n, type)
      expect((await device.put(sample(`valid/${file}.plist`), REPORT)).status).toBe(200)
      await expectNothingTwice(device, sample(`valid/${file}.plist`))
    }
    expect(await stateOf('B')).toMatchObject({ state: 'acknowledged', fields: {} })
    expect(await stateOf('C')).toMatchObject({
      state: 'acknowledged', fields: { RequestType: 'RestartDevice', SomethingNew: { Nested: [1, 2.5, true, '2026-01-01T00:00:00Z'] } },
    })
  })
})

describe('the contents of signed requests for doors that are not here yet', () => {
  it.each(['70-ota-phase2-content', '71-machineinfo-content', '72-account-driven-first-post-content'])('%s: is no message of a device', async (file) => {
    await still(server)
    const before = await dumpTables(server.db)
    for (const type of [CHECKIN, REPORT]) {
      const answer = await phone.put(sample(`valid/${file}.plist`), type)
      expect([type, answer.status, answer.body.length]).toEqual([type, 400, 0])
    }
    expect(await dumpTables(server.db)).toEqual(before)
  })
})

const STATUSES: Record<string, number[]> = {
  '06-unknown-messagetype.plist': [400, 501],
  '21-unknown-status.plist': [400],
  '23-ack-unknown-uuid.plist': [200],
  '24-ack-foreign-command.plist': [200],
  '25-ddm-path-traversal.plist': [400, 404],
  '26-ddm-unknown-endpoint.plist': [400, 404],
  '36-markup-in-names.plist': [200],
}
const AS_REPORT = new Set(['19', '21', '22', '23', '24', '35'])

describe('the hostile samples', () => {
  const files = readdirSync(new URL('hostile/', SAMPLES)).filter((file) => file.endsWith('.plist')).toSorted()

  it('are all here', () => {
    expect(files).toHaveLength(36)
  })

  for (const file of files.filter((name) => name !== '36-markup-in-names.plist')) {
    it(`${file}: is answered as it must be, and changes nothing`, async () => {
      const body = sample(`hostile/${file}`)
      const speaker = body.toString('latin1').includes(MAC) ? mac : phone
      await still(server)
      const before = await dumpTables(server.db)
      const answer = await speaker.put(body, AS_REPORT.has(file.slice(0, 2)) ? REPORT : CHECKIN)
      expect(STATUSES[file] ?? [400]).toContain(answer.status)
      expect(answer.body.toString()).not.toMatch(/Error|stack|at /)
      if (answer.status !== 200) expect(answer.body).toHaveLength(0)
      expect(await dumpTables(server.db)).toEqual(before)
      expect(({} as Record<string, unknown>)['isAdmin']).toBeUndefined()
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
    })
  }

  it('36: markup in names is stored as text and answered as JSON', async () => {
    const body = sample('hostile/36-markup-in-names.plist')
    const udid = /<key>UDID<\/key>\s*<string>([^<]+)/.exec(body.toString())?.[1] ?? ''
    const { identity } = await obtainIdentity(server, await server.link({ device: udid }))
    expect((await rawDevice(server, udid, identity).put(body, CHECKIN)).status).toBe(200)
    const shown = await server.api('GET', `/devices/${udid}`)
    expect(shown.headers['content-type']).toContain('application/json')
    expect(shown.json<{ name: string | null }>().name ?? '').toMatch(/[<=]/)
  })

  it('11: CheckOut ends the enrollment, drops the token and keeps the history', async () => {
    expect((await phone.put(sample('valid/11-checkout.plist'), CHECKIN)).status).toBe(200)
    expect(await enrollment(IPHONE)).toMatchObject({ state: 'unenrolled', push_token: null, push_magic: null })
    expect(await stateOf('1')).toMatchObject({ state: 'acknowledged' })
  })
})
