import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  CHECKIN_TYPE, connectApnsListener, enrollDevice, handOver, managedAccount, modelsOfKind, REPORT_TYPE, resumeDevice, saveDevice,
  type ApnsListener, type DeviceKind, type EnrollOptions, type SavedDevice, type SimulatedDevice,
} from '../../src/simulator/index.ts'
import { runSimulation } from '../../src/cli/simulate-run.ts'
import type { LiveChannel } from '../../src/simulator/live-channel.ts'
import { authenticateMessage, userAuthenticateMessage } from '../../src/simulator/messages.ts'
import type { UserSession } from '../../src/simulator/user-session.ts'
import { dumpTables, startBramley, still, until, type Answer, type TestServer } from '../support/bramley.ts'

let server: TestServer
let apns: ApnsListener
const devices: SimulatedDevice[] = []
beforeAll(async () => {
  server = await startBramley()
  apns = await connectApnsListener({ host: '127.0.0.1', port: server.apns.port, ca: server.apns.caPem })
})
afterAll(async () => {
  await Promise.all(devices.map((device) => device.stop()))
  await apns.close()
  await server.stop()
})

/** A device of this kind that came through a link's profile; what its enrollment alone would push is out of the way. */
async function enroll(kind: DeviceKind, o: Partial<EnrollOptions> = {}): Promise<SimulatedDevice> {
  const device = await enrollDevice({
    url: server.url, link: await server.link(), ca: server.ca, apns, model: modelsOfKind(kind)[0], sharedIpad: kind === 'shared-ipad', ...o,
  })
  devices.push(device)
  for (const channel of [device, ...device.users]) await channel.poll()
  await still(server)
  return device
}

interface Command {
  id: string
  command_uuid: string
  user: string | null
  state: string
  result: Record<string, unknown> | null
  error_chain: { error_code: number }[] | null
  timeline: { state: string }[]
  warnings: { code: string }[]
}

const ask = (device: SimulatedDevice, body: object, user?: string) => (
  server.api('POST', `/devices/${device.hardware.serialNumber}/commands${user === undefined ? '' : `?user=${encodeURIComponent(user)}`}`, body)
)
async function queue(device: SimulatedDevice, body: object, user?: string): Promise<Command> {
  const answer = await ask(device, body, user)
  expect([answer.status, answer.json()['detail']]).toEqual([202, undefined])
  return answer.json<Command>()
}
const read = async (id: string) => (await server.api('GET', `/commands/${id}`)).json<Command>()
const reaches = (id: string, ...states: string[]) => until(async () => {
  const command = await read(id)
  return states.includes(command.state) && command
}, `${id} to be ${states.join(' or ')}`)
const ended = (id: string) => reaches(id, 'acknowledged', 'error', 'format_error')
const done = async (device: SimulatedDevice, body: object, user?: string) => ended((await queue(device, body, user)).id)

type Row = {
  id: number
  user_key: string
  state: string
  push_token: Buffer | null
  push_magic: string | null
  sealed_bootstrap_token: Buffer | null
  awaiting_configuration: boolean
}
/** The channels of a device as they are stored, the device's own first. */
const rows = ({ hardware }: SimulatedDevice) => server.db.query<Row>(
  'select id, user_key, state, push_token, push_magic, sealed_bootstrap_token, awaiting_configuration from enrollments where device_key = $1 order by user_key', [hardware.udid])
const states = async (device: SimulatedDevice) => (await rows(device)).map(({ user_key, state }) => [user_key, state])
const shown = async (device: SimulatedDevice) => (await server.api('GET', `/devices/${device.hardware.serialNumber}`)).json<Record<string, unknown>>()
const facts = async ({ hardware }: SimulatedDevice) => (
  await server.db.query<{ facts: Record<string, unknown> }>('select facts from devices where device_key = $1', [hardware.udid]))[0]?.facts
const uuids = (channel: LiveChannel) => channel.history.map(({ commandUuid }) => commandUuid)
const keyOf = ({ user: { user } }: UserSession) => (user.id.startsWith('FFFFFFFF') ? user.shortName : user.id)

/** What it answers, when every table is as it was before. */
async function unchanged<T extends Pick<Answer, 'status' | 'body'>>(body: () => Promise<T>): Promise<T> {
  await still(server)
  const before = await dumpTables(server.db)
  const answer = await body()
  expect(await dumpTables(server.db)).toEqual(before)
  return answer
}

/** Both channels hold a command at once: each gets its own, and neither can report on the other's. */
async function expectSeparateQueues(device: SimulatedDevice, session: UserSession): Promise<void> {
  for (const channel of [device, session]) await channel.behave('ignores_pushes')
  const ofDevice = await queue(device, { type: 'DeviceInformation' })
  const ofUser = await queue(device, { type: 'ProfileList' }, session.user.user.shortName)
  expect([ofDevice.user, ofUser.user]).toEqual([null, keyOf(session)])
  expect((await session.idle())?.commandUuid).toBe(ofUser.command_uuid)
  expect((await device.idle())?.commandUuid).toBe(ofDevice.command_uuid)
  expect((await session.report(ofDevice.command_uuid, 'Acknowledged'))?.commandUuid).toBe(ofUser.command_uuid)
  expect((await device.report(ofUser.command_uuid, 'Acknowledged'))?.commandUuid).toBe(ofDevice.command_uuid)
  expect([(await read(ofDevice.id)).state, (await read(ofUser.id)).state]).toEqual(['delivered', 'delivered'])
  // A push that is still on its way may come first; then this poll finds nothing left.
  await session.behave('answers')
  await session.poll()
  expect([(await read(ofUser.id)).state, (await read(ofDevice.id)).state]).toEqual(['acknowledged', 'delivered'])
  await device.behave('answers')
  await device.poll()
  for (const [channel, { command_uuid }] of [[session, ofUser], [device, ofDevice]] as const) {
    expect(channel.history.filter(({ commandUuid }) => commandUuid === command_uuid)).toMatchObject([{ status: 'Acknowledged' }])
  }
  const stored = await server.db.query('select id, enrollment_id, state from command_results where id = any($1)', [[ofDevice.id, ofUser.id]])
  const [own, ...users] = await rows(device)
  expect(stored).toEqual(expect.arrayContaining([
    { id: ofDevice.id, enrollment_id: own?.id, state: 'acknowledged' },
    { id: ofUser.id, enrollment_id: users.find(({ user_key }) => user_key === keyOf(session))?.id, state: 'acknowledged' },
  ]))
}

/** While one channel says NotNow, the other answers; unlocked, the first does too. */
async function expectOwnNotNow(device: SimulatedDevice, held: LiveChannel, free: LiveChannel): Promise<void> {
  const userOf = (channel: LiveChannel) => channel.user?.user.shortName
  await held.behave({ notNow: 'until_unlocked' })
  const late = await queue(device, { type: 'Settings', params: { Settings: [{ Item: 'OrganizationInfo' }] }, force: true }, userOf(held))
  await reaches(late.id, 'not_now')
  expect((await done(device, { type: 'DeviceInformation' }, userOf(free))).state).toBe('acknowledged')
  expect((await read(late.id)).state).toBe('not_now')
  await held.unlock()
  expect((await ended(late.id)).state).toBe('acknowledged')
}

describe('an iPhone', () => {
  let phone: SimulatedDevice

  it('enrolls, is woken, and tells of its modem', async () => {
    phone = await enroll('iphone')
    expect(await shown(phone)).toMatchObject({ platform: 'ios', model: 'iPhone17,3', enrollment: { state: 'enrolled', type: 'device' } })
    const answer = await done(phone, { type: 'DeviceInformation' })
    expect(answer.timeline.map(({ state }) => state)).toContain('push_accepted')
    expect(answer.result?.['QueryResponses']).toMatchObject({ UDID: phone.hardware.udid, PhoneNumber: expect.any(String), IsMultiUser: false })
    expect((await done(phone, { type: 'SecurityInfo' })).result?.['SecurityInfo']).toMatchObject({ PasscodePresent: true })
  })

  it('has nobody who could have a channel', async () => {
    expect(phone.users).toEqual([])
    expect((await unchanged(() => ask(phone, { type: 'ProfileList' }, 'kim'))).status).toBe(404)
  })

  it('leaves', async () => {
    await phone.checkOut()
    expect(await rows(phone)).toMatchObject([{ state: 'unenrolled', push_token: null, push_magic: null }])
  })
})

describe('an iPhone in Setup Assistant', () => {
  it('waits until the server says that it is configured', async () => {
    const phone = await enroll('iphone', { supervised: true, awaitingConfiguration: true })
    const waiting = async () => (await rows(phone))[0]?.awaiting_configuration
    expect(await waiting()).toBe(true)
    expect((await done(phone, { type: 'SecurityInfo' })).state).toBe('acknowledged')
    await phone.tokenUpdate()
    expect(await waiting()).toBe(true)
    expect((await done(phone, { type: 'DeviceConfigured' })).state).toBe('acknowledged')
    expect([await waiting(), phone.state.awaitingConfiguration]).toEqual([false, false])
    await phone.tokenUpdate()
    expect(await waiting()).toBe(false)
  })
})

describe('an iPad', () => {
  let pad: SimulatedDevice

  it('enrolls, is woken, and has no modem to tell of', async () => {
    pad = await enroll('ipad')
    expect((await queue(pad, { type: 'UserList' })).warnings).toMatchObject([{ code: 'platform' }])
    const told = (await done(pad, { type: 'DeviceInformation' })).result?.['QueryResponses'] as Record<string, unknown>
    expect(told).toMatchObject({ ModelName: 'iPad', CellularTechnology: 0, IsMultiUser: false })
    expect(told).not.toHaveProperty('PhoneNumber')
    expect(await shown(pad)).toMatchObject({ platform: 'ipados', model: 'iPad13,18' })
  })

  it('that says it has one user is asked nothing that only Shared iPads know', async () => {
    await until(async () => (await facts(pad))?.['IsMultiUser'] === false, 'the facts')
    expect((await unchanged(() => ask(pad, { type: 'UserList' }))).json()).toMatchObject({ status: 422, code: 'not_supported_by_device' })
  })
})

describe('a Mac', () => {
  let mac: SimulatedDevice
  let user: UserSession
  const TOKEN = Buffer.from('a token that unlocks the volumes of this very Mac')

  it('enrolls with its user, each with a token and a magic of their own', async () => {
    mac = await enroll('mac')
    user = mac.users[0]!
    const { udid } = mac.hardware
    expect(udid).toMatch(/^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/)
    expect(await shown(mac)).toMatchObject({ udid, platform: 'macos', model: 'Mac15,3', model_name: 'MacBook Pro', name: 'MacBook Pro' })
    expect(await rows(mac)).toMatchObject([
      { user_key: '', state: 'enrolled', push_token: mac.channel.pushToken, push_magic: mac.channel.pushMagic },
      { user_key: user.user.user.id, state: 'enrolled', push_token: user.channel.pushToken, push_magic: user.channel.pushMagic },
    ])
    expect(mac.channel.pushToken).not.toEqual(user.channel.pushToken)
  })

  it('is asked about itself on both channels, and each is woken for its own', async () => {
    const before = [mac.pushes.received, user.pushes.received]
    const ofUser = await done(mac, { type: 'DeviceInformation' }, user.user.user.shortName.toUpperCase())
    expect([mac.pushes.received, user.pushes.received]).toEqual([before[0], (before[1] ?? 0) + 1])
    expect([uuids(mac), uuids(user)]).toEqual([[], [ofUser.command_uuid]])
    const ofDevice = await done(mac, { type: 'DeviceInformation' })
    expect(user.pushes.received).toBe((before[1] ?? 0) + 1)
    expect(ofDevice.result?.['QueryResponses']).toMatchObject({ IsAppleSilicon: true, ActiveManagedUsers: [user.user.user.id] })
    expect(ofUser.result?.['QueryResponses']).toMatchObject({ UDID: mac.hardware.udid })
    expect(ofUser.result?.['QueryResponses']).not.toHaveProperty('ActiveManagedUsers')
    expect([mac.pushes.wrongMagic, user.pushes.wrongMagic]).toEqual([0, 0])
  })

  it('is known by what it says itself, not by what one of its users sees', async () => {
    await until(async () => (await facts(mac))?.['IsAppleSilicon'] === true, 'the facts')
    await still(server)
    const before = await facts(mac)
    await user.behave('ignores_pushes')
    const { command_uuid, id } = await queue(mac, { type: 'DeviceInformation', params: { Queries: ['iTunesStoreAccountIsActive'] } }, user.user.user.shortName)
    expect((await user.idle())?.commandUuid).toBe(command_uuid)
    await user.report(command_uuid, 'Acknowledged', { QueryResponses: { iTunesStoreAccountIsActive: false, DeviceName: 'of a user' } })
    await user.behave('answers')
    expect((await read(id)).result).toMatchObject({ QueryResponses: { iTunesStoreAccountIsActive: false } })
    await still(server)
    expect([await facts(mac), await shown(mac)]).toMatchObject([before ?? {}, { name: 'MacBook Pro' }])
  })

  it('tells a user of the security no more than who manages it', async () => {
    expect((await done(mac, { type: 'SecurityInfo' })).result?.['SecurityInfo']).toMatchObject({ FDE_Enabled: true })
    const ofUser = await done(mac, { type: 'SecurityInfo' }, user.user.user.id.toLowerCase())
    expect(Object.keys(ofUser.result?.['SecurityInfo'] ?? {})).toEqual(['ManagementStatus'])
  })

  it('has a queue for each channel, and none gets what is for the other', () => expectSeparateQueues(mac, user))

  it('puts off on one channel without holding the other', async () => {
    await expectOwnNotNow(mac, user, mac)
    await expectOwnNotNow(mac, mac, user)
  })

  it('gets no command on a channel that does not have it', async () => {
    const answer = await unchanged(() => ask(mac, { type: 'EraseDevice' }, user.user.user.shortName))
    expect(answer.json()).toMatchObject({ status: 422, code: 'not_supported_by_device', requires: 'device_channel' })
    const forced = await done(mac, { type: 'DeviceLock', force: true }, user.user.user.shortName)
    expect(forced).toMatchObject({ state: 'error', user: user.user.user.id, error_chain: [{ error_code: 12021 }] })
    expect(mac.state.lockScreen).toBeUndefined()
  })

  it('entrusts its bootstrap token, and gets back what is kept sealed', async () => {
    const [entrusted] = await rows(mac)
    expect(entrusted?.sealed_bootstrap_token).not.toBeNull() // It did so by itself, because the profile says we keep them.
    expect(await mac.askForBootstrapToken()).toEqual(mac.memory.enrollment.bootstrapToken)
    await mac.entrustBootstrapToken(TOKEN)
    const [own, ofUser] = await rows(mac)
    expect([own?.sealed_bootstrap_token?.includes(TOKEN), ofUser?.sealed_bootstrap_token]).toEqual([false, null])
    expect(await mac.askForBootstrapToken()).toEqual(TOKEN)
    const everything = JSON.stringify([await dumpTables(server.db, new Set()), server.logs])
    for (const form of ['base64', 'hex', 'utf8'] as const) expect(everything).not.toContain(TOKEN.toString(form))
    await mac.withdrawBootstrapToken()
    expect([await mac.askForBootstrapToken(), (await rows(mac))[0]?.sealed_bootstrap_token]).toEqual([undefined, null])
  })

  it('gives a network user up, of whom nothing is stored', async () => {
    const net = { id: '16C0477E-EB2F-4B5E-AAFD-92B2B91C4B16', shortName: 'net1', longName: 'Net One', network: true }
    const answer = await unchanged(() => mac.send(userAuthenticateMessage(mac.memory, net), CHECKIN_TYPE))
    expect([answer.status, answer.body.length]).toEqual([410, 0])
    expect(await mac.logIn(net)).toBeUndefined()
    expect([mac.users, await states(mac)]).toEqual([[user], [['', 'enrolled'], [user.user.user.id, 'enrolled']]])
  })

  it('switched off and on again goes on with its user, also when its push tokens were forgotten', async () => {
    const saved = JSON.parse(JSON.stringify(saveDevice(mac))) as SavedDevice
    await mac.stop()
    const before = await rows(mac)
    mac = await resumeDevice(saved, { ca: server.ca, apns })
    expect(await rows(mac)).toEqual(before)
    await mac.stop()
    for (const { channel } of [mac, ...mac.users]) await apns.unregister(channel.pushToken)
    mac = await resumeDevice(saved, { ca: server.ca, apns })
    devices.push(mac)
    user = mac.users[0]!
    const after = await rows(mac)
    expect(after.map(({ push_token }) => push_token)).toEqual([mac.channel.pushToken, user.channel.pushToken])
    expect(after.map(({ id, push_magic }) => [id, push_magic])).toEqual(before.map(({ id, push_magic }) => [id, push_magic]))
    expect(after[0]?.push_token).not.toEqual(before[0]?.push_token)
    for (const name of [undefined, user.user.user.shortName]) expect((await done(mac, { type: 'ProfileList' }, name)).state).toBe('acknowledged')
  })

  it('that begins again has lost token, users and queues at Authenticate, and gets them anew', async () => {
    await mac.entrustBootstrapToken(TOKEN)
    for (const channel of [mac, user]) await channel.behave('ignores_pushes')
    const lost = [await queue(mac, { type: 'SecurityInfo' }), await queue(mac, { type: 'ProfileList' }, user.user.user.shortName)]
    expect((await mac.send(authenticateMessage(mac.memory), CHECKIN_TYPE)).status).toBe(200)
    expect(await rows(mac)).toMatchObject([
      { state: 'identity_issued', sealed_bootstrap_token: null, push_token: null, push_magic: null },
      { state: 'unenrolled', push_token: null, push_magic: null },
    ])
    for (const { id } of lost) expect((await read(id)).state).toBe('superseded')
    expect(await mac.askForBootstrapToken()).toBeUndefined()
    for (const channel of [mac, user]) await channel.behave('answers')
    await mac.reauthenticate()
    expect(await states(mac)).toEqual([['', 'enrolled'], [user.user.user.id, 'enrolled']])
    expect([await mac.poll(), await user.poll()]).toEqual([[], []])
    expect(await mac.askForBootstrapToken()).toEqual(TOKEN) // The Mac entrusted it again.
  })

  it('whose user leaves goes on, and so does another user of it', async () => {
    const kim = await mac.logIn({ id: 'BBBBBBBB-0000-4000-8000-000000000001', shortName: 'second', longName: 'A second user' })
    await user.behave('ignores_pushes')
    const lost = await queue(mac, { type: 'ProfileList' }, user.user.user.shortName)
    const [before, , other] = [(await rows(mac))[0], undefined, (await rows(mac)).find(({ user_key }) => kim && user_key === keyOf(kim))]
    await user.checkOut()
    const after = await rows(mac)
    expect([after[0], after.find(({ id }) => id === other?.id)]).toEqual([before, other])
    expect(after.find(({ user_key }) => user_key === keyOf(user))).toMatchObject({ state: 'unenrolled', push_token: null, push_magic: null })
    expect((await read(lost.id)).state).toBe('superseded')
    expect((await unchanged(() => ask(mac, { type: 'ProfileList' }, user.user.user.shortName))).status).toBe(410)
    expect((await done(mac, { type: 'ProfileList' }, 'second')).state).toBe('acknowledged')
    expect((await done(mac, { type: 'ProfileList' })).state).toBe('acknowledged')
  })

  it('leaves, and with it everybody', async () => {
    await mac.behave('ignores_pushes')
    const [kim] = mac.users
    await kim?.behave('ignores_pushes')
    const lost = [await queue(mac, { type: 'SecurityInfo' }), await queue(mac, { type: 'ProfileList' }, 'second')]
    await mac.checkOut()
    for (const row of await rows(mac)) expect(row).toMatchObject({ state: 'unenrolled', push_token: null, push_magic: null })
    for (const { id } of lost) expect((await read(id)).state).toBe('superseded')
    expect((await unchanged(() => ask(mac, { type: 'ProfileList' }, 'second'))).status).toBe(410)
  })
})

describe('a Shared iPad', () => {
  let pad: SimulatedDevice
  const [kim, noor, robin] = [managedAccount('Kim', 'Berger'), managedAccount('Noor', 'Haddad'), managedAccount('Robin', 'Weiss')]
  const session = (user = kim) => pad.users.find((known) => known.user.user.shortName === user.shortName)!
  const present = () => pad.users.filter(({ user }) => user.loggedIn).map(({ user }) => user.user.shortName)

  it('enrolls, and is used by one person after the other, each with a channel of their own', async () => {
    pad = await enroll('shared-ipad')
    expect([pad.users.length, present()]).toEqual([3, [robin.shortName]])
    const own = await rows(pad)
    expect(own.map(({ user_key, state }) => [user_key, state])).toEqual([
      ['', 'enrolled'], [kim.shortName, 'enrolled'], [noor.shortName, 'enrolled'], [robin.shortName, 'enrolled'],
    ])
    expect(new Set(own.map(({ push_token }) => push_token?.toString('hex'))).size).toBe(4)
    expect(new Set(own.map(({ push_magic }) => push_magic)).size).toBe(4)
  })

  it('is asked about itself on both channels', async () => {
    const ofDevice = await done(pad, { type: 'DeviceInformation' })
    expect(ofDevice.result?.['QueryResponses']).toMatchObject({ IsMultiUser: true, ResidentUsers: 3 })
    const ofUser = await done(pad, { type: 'DeviceInformation' }, robin.shortName)
    expect(ofUser.user).toBe(robin.shortName)
    expect(ofUser.result?.['QueryResponses']).not.toHaveProperty('ResidentUsers')
    expect([uuids(session(robin)), uuids(session(kim))]).toEqual([[ofUser.command_uuid], []])
  })

  it('that says it is one is asked for its users without a warning', async () => {
    await until(async () => (await facts(pad))?.['IsMultiUser'] === true, 'the facts')
    const list = await queue(pad, { type: 'UserList' })
    expect(list.warnings).toEqual([])
    expect((await ended(list.id)).result?.['Users']).toMatchObject([
      { UserName: kim.shortName, IsLoggedIn: false }, { UserName: noor.shortName }, { UserName: robin.shortName, IsLoggedIn: true },
    ])
    expect((await unchanged(() => ask(pad, { type: 'ClearPasscode' }))).json()).toMatchObject({ status: 422, code: 'not_supported_by_device' })
  })

  it('does not give one user what is for another: it waits for them', async () => {
    const forKim = await queue(pad, { type: 'ProfileList' }, kim.shortName)
    await reaches(forKim.id, 'push_accepted')
    expect(await session(robin).poll()).toEqual([])
    expect(await pad.poll()).toEqual([])
    await handOver(pad)
    expect([present(), (await read(forKim.id)).state]).toEqual([[kim.shortName], expect.stringMatching(/queued|push_accepted|delivered|acknowledged/)])
    expect((await ended(forKim.id)).state).toBe('acknowledged')
    expect([uuids(session(kim)), uuids(session(robin)), uuids(session(noor))])
      .toEqual([[forKim.command_uuid], [expect.any(String)], []])
    expect(uuids(session(robin))).not.toContain(forKim.command_uuid)
  })

  it('has a queue for each channel, and none gets what is for the other', () => expectSeparateQueues(pad, session(kim)))

  it('puts off on one channel without holding the other', () => expectOwnNotNow(pad, pad, session(kim)))

  it('keeps a profile of one user from the others', async () => {
    const profile = Buffer.from('<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>PayloadType</key><string>Configuration</string><key>PayloadVersion</key><integer>1</integer><key>PayloadIdentifier</key><string>com.example.mail</string><key>PayloadUUID</key><string>0B8F3C1E-0000-4000-8000-000000000001</string><key>PayloadContent</key><array><dict><key>PayloadType</key><string>com.apple.webClip.managed</string><key>PayloadVersion</key><integer>1</integer><key>PayloadIdentifier</key><string>com.example.mail.clip</string><key>PayloadUUID</key><string>0B8F3C1E-0000-4000-8000-000000000002</string><key>URL</key><string>https://example.com</string><key>Label</key><string>x</string></dict></array></dict></plist>')
    expect((await done(pad, { type: 'InstallProfile', params: { Payload: { $data: profile.toString('base64') } } }, kim.shortName)).state).toBe('acknowledged')
    const list = async (user?: string) => JSON.stringify((await done(pad, { type: 'ProfileList' }, user)).result)
    expect(await list(kim.shortName)).toContain('com.example.mail')
    expect(await list()).not.toContain('com.example.mail')
    await handOver(pad)
    expect(await list(noor.shortName)).not.toContain('com.example.mail')
  })

  it('takes an account off, which ends that channel alone', async () => {
    const before = (await rows(pad)).filter(({ user_key }) => user_key !== kim.shortName)
    await session(kim).checkOut()
    const after = await rows(pad)
    expect(after.filter(({ user_key }) => user_key !== kim.shortName)).toEqual(before)
    expect(after.find(({ user_key }) => user_key === kim.shortName)).toMatchObject({ state: 'unenrolled', push_token: null })
  })

  it('lets the same person come back to an empty queue under a new token', async () => {
    const back = await pad.logIn(kim)
    expect(await back?.poll()).toEqual([])
    expect((await rows(pad)).find(({ user_key }) => user_key === kim.shortName))
      .toMatchObject({ state: 'enrolled', push_token: back?.channel.pushToken, push_magic: back?.channel.pushMagic })
    expect((await done(pad, { type: 'ProfileList' }, kim.shortName)).state).toBe('acknowledged')
  })

  it('makes a new user wait until the server says that they are configured, and nobody else', async () => {
    const settings = [{ Item: 'SharedDeviceConfiguration', AwaitUserConfiguration: { Enabled: true } }]
    expect((await done(pad, { type: 'Settings', params: { Settings: settings } })).result?.['Settings']).toMatchObject([{ Status: 'Acknowledged' }])
    const sam = await pad.logIn(managedAccount('Sam', 'Okafor'))
    const waiting = async () => (await rows(pad)).filter((row) => row.awaiting_configuration).map(({ user_key }) => user_key)
    expect(await waiting()).toEqual([sam?.user.user.shortName])
    expect((await unchanged(() => ask(pad, { type: 'UserConfigured' }))).json()).toMatchObject({ status: 422, requires: 'user_channel' })
    expect((await done(pad, { type: 'UserConfigured', force: true }, sam?.user.user.shortName)).state).toBe('acknowledged')
    expect([await waiting(), sam?.user.awaitingConfiguration]).toEqual([[], false])
    expect((await done(pad, { type: 'UserConfigured', force: true }, sam?.user.user.shortName)).state).toBe('error')
  })

  it('does not make somebody wait who comes back after the account was taken off', async () => {
    const alex = managedAccount('Alex', 'Moreau')
    const row = async () => (await rows(pad)).find(({ user_key }) => user_key === alex.shortName)
    const session = await pad.logIn(alex)
    expect(await row()).toMatchObject({ state: 'enrolled', awaiting_configuration: true })
    await session?.checkOut()
    const off = [{ Item: 'SharedDeviceConfiguration', AwaitUserConfiguration: { Enabled: false } }]
    expect((await done(pad, { type: 'Settings', params: { Settings: off } })).state).toBe('acknowledged')
    await pad.logIn(alex)
    expect(await row()).toMatchObject({ state: 'enrolled', awaiting_configuration: false })
  })

  it('is told to log its user out', async () => {
    expect((await done(pad, { type: 'LogOutUser' })).state).toBe('acknowledged')
    expect(present()).toEqual([])
    expect((await done(pad, { type: 'LogOutUser' })).error_chain).toMatchObject([{ error_code: 12072 }])
  })

  it('leaves, and with it everybody', async () => {
    await pad.checkOut()
    for (const row of await rows(pad)) expect(row).toMatchObject({ state: 'unenrolled', push_token: null, push_magic: null })
  })
})

describe('an Apple TV', () => {
  let tv: SimulatedDevice

  it('enrolls, is woken, and tells what it has', async () => {
    tv = await enroll('appletv')
    expect(await shown(tv)).toMatchObject({ platform: 'tvos', model: 'AppleTV14,1', battery_percent: null, storage: null })
    const told = (await done(tv, { type: 'DeviceInformation' })).result?.['QueryResponses'] as Record<string, unknown>
    expect(told).toMatchObject({ UDID: tv.hardware.udid, DeviceID: expect.any(String) })
    expect(told).not.toHaveProperty('BatteryLevel')
    expect((await done(tv, { type: 'SecurityInfo' })).result?.['SecurityInfo']).toMatchObject({ PasscodePresent: false })
    expect(tv.users).toEqual([])
  })

  it.each([
    ['DeviceLock', {}], ['EnableLostMode', { Message: 'x' }], ['ClearPasscode', {}], ['UserList', {}],
  ])('is not sent %s: refused before anything is queued', async (type, params) => {
    const answer = await unchanged(() => ask(tv, { type, params }))
    expect(answer.json()).toMatchObject({ status: 422, code: 'not_supported_by_device', requires: 'platform' })
    expect(answer.json<{ detail: string }>().detail).toContain('does not exist on tvOS')
  })

  it('answers Error with Apple’s code when it is sent all the same', async () => {
    const { id, ...forced } = await queue(tv, { type: 'DeviceLock', force: true })
    expect(forced.warnings).toMatchObject([{ code: 'platform' }])
    expect(await ended(id)).toMatchObject({ state: 'error', error_chain: [{ error_code: 12021 }] })
    const [event] = await server.db.query(`select data from events where type = 'command.queued' and data->>'command' = $1`, [id])
    expect(event).toMatchObject({ data: { forced: true } })
    expect((await done(tv, { type: 'ProfileList' })).state).toBe('acknowledged')
  })

  it('leaves, and what speaks in its name later is refused', async () => {
    await tv.checkOut()
    expect(await rows(tv)).toMatchObject([{ state: 'unenrolled', push_token: null, push_magic: null }])
    const idle = Buffer.from(`<plist version="1.0"><dict><key>Status</key><string>Idle</string><key>UDID</key><string>${tv.hardware.udid}</string></dict></plist>`)
    const answer = await unchanged(() => tv.send(idle, REPORT_TYPE))
    expect([answer.status, answer.body.length]).toEqual([400, 0])
  })
})

describe('bramley simulate', () => {
  it('plays several platforms at once, says who answered, and lets a Shared iPad change hands', async () => {
    const lines: string[] = []
    const voice = { say: (line: string) => void lines.push(line), warn: (line: string) => void lines.push(line) }
    const fleet = {
      url: server.url, link: await server.link(), ca: server.ca, apns: { host: '127.0.0.1', port: server.apns.port, ca: server.apns.caPem },
      count: 3, kinds: ['mac', 'appletv', 'shared-ipad'] as const, shiftMs: 50,
    }
    const run = runSimulation({ fleet, end: { afterCommands: 1 }, warnings: [] }, voice, () => new Promise(() => undefined))
    const serials = await until(async () => {
      const found = lines.flatMap((line) => /^✔ (\w+) enrolled \((.*)\)$/.exec(line)?.slice(1, 2) ?? [])
      return found.length === 3 && found
    }, 'three devices')
    expect(lines.map((line) => /\((.*)\)/.exec(line)?.[1]).toSorted((a, b) => String(a).localeCompare(String(b)))).toEqual([
      'Apple TV, tvOS 18.1', expect.stringMatching(/^MacBook Pro, macOS 15\.1; [a-z]+$/),
      expect.stringMatching(/^Shared iPad \(10th generation\), iPadOS 18\.1; kim\.berger@appleid\.example\.edu, noor/),
    ])
    const pad = lines.find((line) => line.includes('Shared'))?.split(' ')[1] ?? ''
    const post = (serial: string, query = '') => server.api('POST', `/devices/${serial}/commands${query}`, { type: 'ProfileList' })
    for (const account of ['kim.berger', 'noor.haddad', 'robin.weiss']) {
      const { id } = (await post(pad, `?user=${account}%40appleid.example.edu`)).json<Command>()
      expect((await ended(id)).state).toBe('acknowledged')
      expect(lines).toContain(`→ ${pad} (${account}@appleid.example.edu) ProfileList acknowledged`)
    }
    for (const serial of serials) expect((await post(serial)).status).toBe(202)
    expect(await run).toBe(0)
    for (const serial of serials) expect(lines).toContain(`→ ${serial} ProfileList acknowledged`)
    expect(lines.filter((line) => line.startsWith('✖'))).toEqual([])
  })
})

it('nobody pushed anything that Apple would not take', () => expect(server.apns.violations).toEqual([]))
