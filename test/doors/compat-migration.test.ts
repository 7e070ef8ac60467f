import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { encodePem } from '../../src/apple/wire/pem.ts'
import { encodePlist, type EncodableDict } from '../../src/apple/wire/plist-writer.ts'
import { decodePlist } from '../../src/apple/wire/plist.ts'
import { certify, certificateAuthority, refused } from '../support/attacks.ts'
import { dumpTables, startBramley, still, TOPIC, uploadPushCertificate, type Answer, type TestServer } from '../support/bramley.ts'
import { basic, call, command, keyWith, queued, resultOf } from '../support/compat.ts'
import { enrolledDevice, obtainIdentity, rawDevice, uuidOf, type RawDevice } from '../support/raw-device.ts'
import { startReceiver, type WebhookReceiver } from '../support/webhook-receiver.ts'

const theirs = certificateAuthority()
const USER = { UserID: 'ABCDEF01-0000-4000-8000-000000000001', UserShortName: 'ann' }

let receiver: WebhookReceiver
let server: TestServer
const start = async (o: Parameters<typeof startBramley>[0] = {}) => {
  const cas = join(mkdtempSync(join(inject('runFolder'), 'cas-')), 'cas.pem')
  writeFileSync(cas, encodePem('CERTIFICATE', theirs.certificate.der))
  return startBramley({ ...o, settings: { BRAMLEY_EXTRA_DEVICE_CAS: cas, ...o.settings } })
}
beforeAll(async () => {
  receiver = await startReceiver()
  server = await start({ settings: { BRAMLEY_WEBHOOK_URL: receiver.url } })
})
afterAll(async () => {
  await server.stop()
  await receiver.close()
})

let number = 0
const newUdid = () => `564D3E1A-5C7B-5F6A-9B1E-${String(++number).padStart(12, '0')}`
const put = (message: EncodableDict, method = 'PUT', to = server) => call(to, method, '/migration', encodePlist({ Topic: TOPIC, ...message }))
const authenticate = (udid: string) => ({ MessageType: 'Authenticate', UDID: udid, ProductName: 'Mac15,3', SerialNumber: `S${udid.slice(-6)}`, OSVersion: '15.1' })
const tokenUpdate = (udid: string, extra: EncodableDict = {}) => ({
  MessageType: 'TokenUpdate', UDID: udid, Token: server.apns.register(TOPIC), PushMagic: 'M', UnlockToken: Buffer.from('unlock me'), ...extra,
})
const bootstrap = (udid: string) => ({ MessageType: 'SetBootstrapToken', UDID: udid, Topic: undefined, BootstrapToken: Buffer.from('volumes') })

/** Imports a device as another server knew it. */
async function imported(udid = newUdid()): Promise<string> {
  for (const message of [authenticate(udid), tokenUpdate(udid)]) expect((await put(message)).status).toBe(200)
  return udid
}
/** The device itself, with a certificate of the other server. */
const itself = (udid: string, identity = certify({ issuer: theirs })) => rawDevice(server, udid, identity)

type Row = { state: string; user_key: string; claimed: boolean; tally: number; unlock: boolean; generation: number }
const rows = (udid: string) => server.db.query<Row>(
  `select state, user_key, certificate_sha256 is not null as claimed, token_update_tally as tally, sealed_unlock_token is not null as unlock, generation
   from enrollments where device_key = $1 order by id`, [udid])

/** What is answered, when every table is as it was before. */
async function unchanged(ask: () => Promise<Answer>): Promise<Answer> {
  await still(server)
  const before = await dumpTables(server.db)
  const answer = await ask()
  expect(await dumpTables(server.db)).toEqual(before)
  return answer
}

describe('/migration', () => {
  it('takes Authenticate, TokenUpdate, a user’s TokenUpdate and SetBootstrapToken, each 200 without a body; then push works', async () => {
    const udid = newUdid()
    for (const message of [authenticate(udid), tokenUpdate(udid), tokenUpdate(udid, USER), bootstrap(udid)]) {
      const answer = await put(message)
      expect([answer.status, answer.body.length]).toEqual([200, 0])
    }
    await still(server)
    const pushed = await call(server, 'GET', `/v1/push/${udid},${udid}:${USER.UserID}`)
    expect(pushed.status).toBe(200)
    expect(Object.keys(resultOf(pushed).status ?? {})).toHaveLength(2)
    expect(await rows(udid)).toEqual([
      { state: 'enrolled', user_key: '', claimed: false, tally: 1, unlock: true, generation: 1 },
      { state: 'enrolled', user_key: USER.UserID, claimed: false, tally: 1, unlock: false, generation: 1 },
    ])
    expect((await server.api('GET', `/devices/S${udid.slice(-6)}`)).json()).toMatchObject({ udid, os_version: '15.1', platform: 'macos' })
  })

  it.each(['GET', 'POST', 'PATCH', 'DELETE', 'OPTIONS'])('takes %s as well', async (method) => {
    const body = encodePlist({ Topic: TOPIC, ...authenticate(newUdid()) })
    expect((await call(server, method, '/migration', body, { 'content-length': String(body.length) })).status).toBe(200)
  })

  it('needs a key with the scope compat, and records whose it was', async () => {
    const udid = newUdid()
    const weak = await keyWith(server, 'admin')
    await call(server, 'GET', '/v1/pushcert', undefined, basic('nanomdm', weak)) // when a key was last used is noted at its first use
    for (const headers of [basic('nanomdm', weak), { authorization: '' }]) {
      expect((await unchanged(() => call(server, 'PUT', '/migration', encodePlist({ Topic: TOPIC, ...authenticate(udid) }), headers))).status).toBe(401)
    }
    await imported(udid)
    const events = await server.db.query<{ type: string; actor: string }>(
      `select type, actor from events where device_id = (select id from devices where device_key = $1) order by seq`, [udid])
    expect(events).toEqual(['device.enrolling', 'enrollment.imported', 'device.enrolled'].map((type) => ({ type, actor: expect.stringMatching(/^key_/) })))
  })

  it.each([
    ['no plist', Buffer.from('hello')], ['nothing', Buffer.alloc(0)], ['a report', encodePlist({ UDID: 'A'.repeat(36), Status: 'Idle' })],
    ['an unknown message', encodePlist({ UDID: 'A'.repeat(36), MessageType: 'Hello' })],
    ['a message of nobody', encodePlist({ MessageType: 'Authenticate', Topic: TOPIC })],
    ['a user’s Authenticate', encodePlist({ MessageType: 'Authenticate', Topic: TOPIC, UDID: 'A'.repeat(36), UserID: 'U-1' })],
  ])('refuses %s by 400 and a string', async (_what, body) => {
    const answer = await unchanged(() => call(server, 'PUT', '/migration', body))
    expect([answer.status, answer.json()]).toEqual([400, { error: expect.stringMatching(/^not a check-in message: ./) }])
  })

  it('asks for the order: Authenticate, TokenUpdate, then users', async () => {
    const udid = newUdid()
    for (const message of [tokenUpdate(udid), tokenUpdate(udid, USER), bootstrap(udid), { MessageType: 'CheckOut', UDID: udid }]) {
      const answer = await unchanged(() => put(message))
      expect([answer.status, answer.json()]).toEqual([409, { error: 'Send the Authenticate of this device first' }])
    }
    await put(authenticate(udid))
    const answer = await unchanged(() => put(tokenUpdate(udid, USER)))
    expect([answer.status, answer.json()]).toEqual([409, { error: 'Send the TokenUpdate of its device first' }])
  })

  it('takes every other check-in message, which brings nothing along', async () => {
    const udid = await imported()
    for (const message of [
      { MessageType: 'GetBootstrapToken' }, { MessageType: 'GetToken', TokenServiceType: 'com.apple.maid' }, { MessageType: 'UserAuthenticate', UserID: 'U-1' },
      { MessageType: 'DeclarativeManagement', Endpoint: 'tokens' }, { MessageType: 'ReturnToService' },
    ]) {
      const answer = await unchanged(() => put({ UDID: udid, Topic: undefined, ...message }))
      expect([message, answer.status, answer.body.length]).toEqual([message, 200, 0])
    }
  })

  it('begins anew when it is said again: commands end, users and tokens go, and the tally is 1 again', async () => {
    const udid = await imported()
    await put(tokenUpdate(udid, USER))
    await put(tokenUpdate(udid, { UnlockToken: undefined }))
    expect((await rows(udid))[0]).toMatchObject({ tally: 2, unlock: true })
    await call(server, 'PUT', `/v1/enqueue/${udid}?nopush=1`, command())
    await put(authenticate(udid))
    expect(await queued(server, udid)).toEqual([])
    expect(await rows(udid)).toMatchObject([{ state: 'identity_issued', tally: 0, unlock: false, generation: 2 }, { state: 'unenrolled', tally: 0 }])
    await put(tokenUpdate(udid))
    expect((await rows(udid))[0]).toMatchObject({ state: 'enrolled', tally: 1 })
  })

  it('ends what was imported by CheckOut, a user alone and the device with all', async () => {
    const udid = await imported()
    await put(tokenUpdate(udid, USER))
    await put({ MessageType: 'CheckOut', UDID: udid, ...USER })
    expect((await rows(udid)).map(({ state }) => state)).toEqual(['enrolled', 'unenrolled'])
    await put({ MessageType: 'CheckOut', UDID: udid })
    expect((await rows(udid)).map(({ state }) => state)).toEqual(['unenrolled', 'unenrolled'])
  })

  it('takes no topic but those of the push certificates held', async () => {
    const udid = newUdid()
    const answer = await unchanged(() => put({ ...authenticate(udid), Topic: 'com.apple.mgmt.other' }))
    expect([answer.status, answer.json()]).toEqual([409, { error: expect.stringContaining('There is no push certificate of com.apple.mgmt.other') }])
  })

  it('tells the webhook nothing', async () => {
    const udid = await imported()
    await put(tokenUpdate(udid, USER))
    expect(await server.db.query('select 1 from webhook_events where stream = $1', [udid])).toEqual([])
    expect(receiver.received.filter(({ device }) => device === udid)).toEqual([])
  })
})

describe('an enrollment of ours', () => {
  const messages = (udid: string): EncodableDict[] => [
    authenticate(udid), tokenUpdate(udid), tokenUpdate(udid, USER), bootstrap(udid), { MessageType: 'CheckOut', UDID: udid },
  ]
  const refusedAll = async (udid: string, list = messages(udid)) => {
    for (const message of list) {
      const answer = await unchanged(() => put(message))
      expect([message['MessageType'], answer.status, answer.json()]).toEqual([message['MessageType'], 409, { error: expect.stringMatching(/ here already$/) }])
    }
  }

  it('is never touched by an import, enrolled, begun or held', async () => {
    const ours = await enrolledDevice(server, newUdid())
    await refusedAll(ours.udid)
    const begun = rawDevice(server, newUdid(), (await obtainIdentity(server, await server.link())).identity)
    await begun.authenticate()
    await refusedAll(begun.udid)
    await itself(ours.udid).authenticate()
    expect((await rows(ours.udid)).map(({ state }) => state)).toEqual(['enrolled', 'pending_approval'])
    await refusedAll(ours.udid)
    await server.db.query(`update enrollments set state = 'blocked' where device_key = $1`, [begun.udid])
    await refusedAll(begun.udid)
  })

  it('that has ended may come back by an import', async () => {
    const gone = await enrolledDevice(server, newUdid())
    await gone.checkin({ MessageType: 'CheckOut' })
    await imported(gone.udid)
    expect((await rows(gone.udid)).map(({ state }) => state)).toEqual(['unenrolled', 'enrolled'])
    await refused(server, 'not_enrolled', () => gone.report({ Status: 'Idle' }))
  })

  it('and an import at the same moment leave one enrollment', async () => {
    for (let round = 0; round < 8; round++) {
      const device = rawDevice(server, newUdid(), (await obtainIdentity(server, await server.link())).identity)
      const [own, brought] = await Promise.all([device.authenticate(), put(authenticate(device.udid))])
      expect(own.status).toBe(200)
      const states = (await rows(device.udid)).map(({ state, claimed }) => `${state} ${claimed}`)
      if (brought.status === 409) expect(states).toEqual(['identity_issued true'])
      // The link let its device in before the imported one had finished enrolling.
      else expect(states).toEqual(['unenrolled false', 'identity_issued true'])
    }
  })

  it('that was imported is ours once its device has come; what is missing may follow', async () => {
    const udid = await imported()
    const device = itself(udid)
    expect(await device.idle()).toBeUndefined()
    await refusedAll(udid, [authenticate(udid), tokenUpdate(udid), { MessageType: 'CheckOut', UDID: udid }])
    expect([(await put(tokenUpdate(udid, USER))).status, (await put(bootstrap(udid))).status]).toEqual([200, 200])
    await refusedAll(udid, [tokenUpdate(udid, USER), bootstrap(udid)])
    await device.authenticate()
    await device.tokenUpdate()
    await refusedAll(udid)
  })
})

describe('a device that was imported', () => {
  it('is known by the first certificate of a trusted CA that speaks for it, and by no other', async () => {
    const udid = await imported()
    await put(bootstrap(udid))
    const { command_uuid: uuid } = resultOf(await call(server, 'PUT', `/v1/enqueue/${udid}?nopush=1`, command()))
    await refused(server, 'untrusted_issuer', () => itself(udid, certify({ issuer: certificateAuthority() })).report({ Status: 'Idle' }))
    const device = itself(udid)
    expect(uuidOf((await device.idle())!)).toBe(uuid)
    const token = await device.checkin({ MessageType: 'GetBootstrapToken', Topic: undefined })
    expect({ ...decodePlist(token.body) as object }).toEqual({ BootstrapToken: Buffer.from('volumes') })
    await refused(server, 'unknown_certificate', () => itself(udid).report({ Status: 'Idle' }))
    expect((await device.acknowledge({ CommandUUID: uuid! }, { ProfileList: [] }))).toBeUndefined()
    const [event] = await server.db.query<{ actor: string; data: object }>(
      `select actor, data from events where type = 'certificate.adopted' and device_id = (select id from devices where device_key = $1)`, [udid])
    expect(event).toMatchObject({ actor: udid, data: { sha256: device.identity.certificate.sha256.toString('hex') } })
    expect(await rows(udid)).toMatchObject([{ state: 'enrolled', claimed: true, generation: 1 }])
  })

  it.each<[string, (device: RawDevice) => Promise<Answer>]>([
    ['TokenUpdate', (device) => device.tokenUpdate()],
    ['a user’s TokenUpdate', (device) => device.tokenUpdate(USER)],
    ['DeclarativeManagement', (device) => device.checkin({ MessageType: 'DeclarativeManagement', Endpoint: 'tokens', Topic: undefined })],
    ['a user’s poll', (device) => device.report({ Status: 'Idle', ...USER })],
    ['Authenticate', (device) => device.authenticate()],
  ])('may begin with %s', async (_what, speak) => {
    const udid = await imported()
    const device = itself(udid)
    expect((await speak(device)).status).toBe(200)
    expect((await rows(udid))[0]).toMatchObject({ claimed: true })
    expect((await rows(udid)).filter(({ state }) => state === 'pending_approval')).toEqual([])
    await refused(server, 'unknown_certificate', () => itself(udid).report({ Status: 'Idle' }))
  })

  it('has one certificate, however many come at once', async () => {
    const udid = await imported()
    const devices = [1, 2, 3, 4].map(() => itself(udid))
    const answers = await Promise.all(devices.map((device) => device.report({ Status: 'Idle' })))
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 400, 400, 400])
    const same = itself(await imported())
    expect((await Promise.all([1, 2, 3, 4].map(() => same.report({ Status: 'Idle' })))).map(({ status }) => status)).toEqual([200, 200, 200, 200])
  })

  it('is not spoken for by the certificate of another device', async () => {
    const [mine, other] = [await imported(), await imported()]
    const device = itself(mine)
    await device.idle()
    await refused(server, 'cert_enrollment_mismatch', () => itself(other, device.identity).report({ Status: 'Idle' }))
    await refused(server, 'already_bound', () => itself(other, device.identity).authenticate())
    const ours = await enrolledDevice(server, newUdid())
    await refused(server, 'cert_enrollment_mismatch', () => itself(other, ours.identity).report({ Status: 'Idle' }))
  })

  it('is not spoken for by a certificate of ours that says no Authenticate; with one it is held', async () => {
    const udid = await imported()
    const { identity } = await obtainIdentity(server, await server.link())
    await refused(server, 'not_enrolled', () => itself(udid, identity).report({ Status: 'Idle' }))
    expect((await itself(udid, identity).authenticate()).status).toBe(200)
    expect((await rows(udid)).map(({ state }) => state)).toEqual(['enrolled', 'pending_approval'])
  })

  it('is a stranger when the window is over; its Authenticate is held', async () => {
    const udid = await imported()
    await server.db.query(`update enrollments set imported_at = now() - interval '30 days' where device_key = $1`, [udid])
    await refused(server, 'unknown_certificate', () => itself(udid).report({ Status: 'Idle' }))
    expect((await itself(udid).authenticate()).status).toBe(200)
    expect((await rows(udid)).map(({ state }) => state)).toEqual(['enrolled', 'pending_approval'])
  })

  it('is a stranger as long as it was not imported', async () => {
    await refused(server, 'unknown_certificate', () => itself(newUdid()).report({ Status: 'Idle' }))
  })

  it('is an enrollment of its own kind too: personal, and a Shared iPad’s user', async () => {
    const id = 'B1C0A7E4-3D52-49F0-8A6B-77D0E1F2A3B4'
    const own = { UDID: undefined, EnrollmentID: id }
    for (const message of [{ ...authenticate(id), ...own }, { ...tokenUpdate(id), ...own }, { ...tokenUpdate(id), ...own, EnrollmentUserID: 'U-1' }]) {
      expect((await put(message)).status).toBe(200)
    }
    expect((await itself(id).report({ ...own, Status: 'Idle' })).status).toBe(200)
    const pad = await imported()
    await put(tokenUpdate(pad, { UserID: 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', UserShortName: 'bob@example.edu' }))
    await still(server)
    expect((await call(server, 'GET', `/v1/push/${pad}:bob@example.edu`)).status).toBe(200)
  })
})

describe('while no push certificate is held', () => {
  it('every topic is taken, and pushes wait for its certificate', async () => {
    const bare = await start({ pushCertificate: false })
    const udid = newUdid()
    const topic = 'com.apple.mgmt.External.old'
    const token = bare.apns.register(topic)
    for (const message of [authenticate(udid), { ...tokenUpdate(udid), Token: token }]) expect((await put({ ...message, Topic: topic }, 'PUT', bare)).status).toBe(200)
    expect((await call(bare, 'GET', `/v1/push/${udid}`)).status).toBe(500)
    expect((await uploadPushCertificate(bare, bare.apns, topic)).status).toBe(201)
    expect((await call(bare, 'GET', `/v1/push/${udid}`)).status).toBe(200)
    await bare.stop()
  })
})
