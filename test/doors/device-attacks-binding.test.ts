import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodePlist, plistDict } from '../../src/apple/wire/plist.ts'
import { encodePlist, type EncodableDict } from '../../src/apple/wire/plist-writer.ts'
import { messagesOf, refused, unchanged } from '../support/attacks.ts'
import { dumpTables, send, startBramley, still, TOPIC, type TestServer } from '../support/bramley.ts'
import { deviceIn, enrolledIn, MODES, put } from '../support/modes.ts'
import { CHECKIN, obtainIdentity, REPORT, type RawDevice } from '../support/raw-device.ts'

// What a device with a good identity of its own may try against another one. The numbers are those of the threat model.
const A = '00008101-00000000000A'
const B = '00008101-00000000000B'
const GRACE = { UserID: 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', UserShortName: 'grace@example.edu' }
/** Nobody may say these on a user channel. */
const DEVICE_ONLY = ['Authenticate', 'SetBootstrapToken', 'GetBootstrapToken']
const ADA = { UserID: '5A3C9E10-7F21-4B8D-A6C5-0D9E8F7A6B5C', UserShortName: 'ada' }

describe.each(MODES)('$mode', (mode) => {
  let server: TestServer
  let a: RawDevice
  let b: RawDevice
  beforeAll(async () => {
    server = await startBramley({ settings: mode.settings })
    a = await enrolledIn(mode, server, A, { authenticate: { ProductName: 'iPad14,3' }, token: { UnlockToken: randomBytes(64) } })
    b = await enrolledIn(mode, server, B, { authenticate: { ProductName: 'iPad14,3' } })
    expect((await a.tokenUpdate(GRACE)).status).toBe(200)
  })
  afterAll(() => server.stop())

  let serial = 0
  const newUdid = () => `00008120-0000000001${String(++serial).padStart(2, '0')}`
  /** A certificate of a link, and the device that has it but has said nothing yet. */
  const newcomer = async (udid: string, link: Record<string, unknown> = {}) => (
    deviceIn(mode, server, udid, (await obtainIdentity(server, await server.link(link))).identity))
  const queue = async (udid: string, type: string, query = '') => {
    const answer = await server.api('POST', `/devices/${udid}/commands${query}`, { type })
    expect(answer.status).toBe(202)
    return answer.json<{ id: string; command_uuid: string }>()
  }
  const rows = async (udid: string) => server.db.query<Record<string, unknown>>('select * from enrollments where device_key = $1 order by id', [udid])

  describe('2: the user channel', () => {
    it.each(messagesOf(A))('B’s certificate, A’s UDID and a user, by %s', async (name, contentType, message) => {
      const reason = DEVICE_ONLY.includes(name) ? 'channel' : 'cert_enrollment_mismatch'
      for (const user of [GRACE, ADA]) await refused(server, reason, () => b.put(encodePlist({ ...message, ...user }), contentType))
    })

    it('B’s certificate and UDID with the user of A reach nothing of A', async () => {
      const { command_uuid } = await queue(A, 'ProfileList', `?user=${encodeURIComponent(GRACE.UserShortName)}`)
      await refused(server, 'not_enrolled', () => b.checkin({ ...GRACE, MessageType: 'CheckOut' }))
      for (const report of [{ Status: 'Idle' }, { Status: 'Acknowledged', CommandUUID: command_uuid }]) {
        const answer = await unchanged(server, () => b.report({ ...GRACE, ...report }))
        expect([answer.status, answer.body.length]).toEqual([200, 0])
      }
      expect((await a.report({ ...GRACE, Status: 'Idle' })).body.toString()).toContain(command_uuid)
      await a.report({ ...GRACE, Status: 'Acknowledged', CommandUUID: command_uuid })
    })
  })

  it('15: a captured Idle poll, sent again, does no more than the first time; without the proof it does nothing', async () => {
    const idle = encodePlist({ Status: 'Idle', UDID: B })
    const captured = mode.prove(b.identity, idle)
    expect((await put(server, idle, REPORT, captured)).status).toBe(200)
    // With Mdm-Signature and behind a proxy it cannot be told from the device; a TLS key does not travel with it.
    const { tls, ...without } = captured
    if (tls) await refused(server, 'no_certificate', () => put(server, idle, REPORT, without))
    else expect((await unchanged(server, () => put(server, idle, REPORT, without))).body).toHaveLength(0)
    await refused(server, 'no_certificate', () => put(server, idle, REPORT, {}))
  })

  it('16: a replayed acknowledgement is answered and changes nothing', async () => {
    const { command_uuid } = await queue(B, 'SecurityInfo')
    await b.idle()
    const report = () => b.report({ Status: 'Acknowledged', CommandUUID: command_uuid, SecurityInfo: {} })
    expect((await report()).status).toBe(200)
    const again = await unchanged(server, report)
    expect([again.status, again.body.length]).toEqual([200, 0])
    for (const Status of ['Error', 'NotNow', 'CommandFormatError']) {
      expect((await unchanged(server, () => b.report({ Status, CommandUUID: command_uuid }))).status).toBe(200)
    }
  })

  describe('17: taking over an enrollment', () => {
    it('a challenge made for another device does not open it', async () => {
      const thief = await newcomer(A, { device: B })
      await refused(server, 'challenge_of_another_device', () => thief.authenticate())
    })

    it('a fresh certificate of an unbound link is held: 200 and nothing else, until an administrator decides', async () => {
      const old = await enrolledIn(mode, server, newUdid(), { token: { UnlockToken: randomBytes(32) } })
      await queue(old.udid, 'ProfileList')
      const thief = await newcomer(old.udid)
      expect([(await thief.authenticate()).status, (await thief.tokenUpdate()).status]).toEqual([200, 200])
      expect((await thief.report({ Status: 'Idle' })).body).toHaveLength(0)
      expect((await old.idle())?.['Command']).toMatchObject({ RequestType: 'ProfileList' })
      expect((await rows(old.udid)).map(({ state }) => state)).toEqual(['enrolled', 'pending_approval'])
      expect((await server.api('POST', `/devices/${old.udid}/enrollment/reject`)).status).toBe(200)
      for (const [, contentType, message] of messagesOf(old.udid)) await refused(server, 'revoked', () => thief.put(encodePlist(message), contentType))
      expect((await old.report({ Status: 'Idle' })).status).toBe(200)
    })

    it('approved, the newcomer replaces the old identity at once, without its queue or its secrets', async () => {
      const old = await enrolledIn(mode, server, newUdid(), { token: { UnlockToken: randomBytes(32) } })
      const { id } = await queue(old.udid, 'ProfileList')
      const fresh = await newcomer(old.udid)
      await fresh.authenticate()
      await fresh.tokenUpdate()
      expect((await server.api('POST', `/devices/${old.udid}/enrollment/approve`)).json()).toMatchObject({ state: 'enrolled' })
      await refused(server, 'revoked', () => old.report({ Status: 'Idle' }))
      expect((await fresh.report({ Status: 'Idle' })).body).toHaveLength(0)
      // What the old one entrusted is kept for administrators, and the newcomer's row has none of it.
      expect((await rows(old.udid)).map(({ state, sealed_unlock_token }) => [state, sealed_unlock_token !== null])).toEqual([['unenrolled', true], ['enrolled', false]])
      expect((await server.api('GET', `/commands/${id}`)).json()).toMatchObject({ state: 'superseded' })
      expect((await server.api('POST', `/devices/${old.udid}/enrollment/approve`)).json()).toMatchObject({ code: 'not_pending' })
    })

    it('a link made for that device lets it through by itself', async () => {
      const old = await enrolledIn(mode, server, newUdid())
      const again = await newcomer(old.udid, { device: old.udid })
      await again.authenticate()
      await again.tokenUpdate()
      expect((await again.report({ Status: 'Idle' })).status).toBe(200)
      await refused(server, 'revoked', () => old.report({ Status: 'Idle' }))
    })
  })

  it('18: no message but Authenticate before Authenticate', async () => {
    const stranger = await newcomer(newUdid())
    for (const [name, contentType, message] of messagesOf(stranger.udid)) {
      if (name === 'Authenticate') continue
      await refused(server, 'not_enrolled', () => stranger.put(encodePlist(message), contentType))
    }
  })

  it('19: CheckOut by B for A, for the user of A, and for a user of its own with A’s name', async () => {
    for (const who of [{ UDID: A }, { UDID: A, ...GRACE }]) {
      await refused(server, 'cert_enrollment_mismatch', () => b.checkin({ MessageType: 'CheckOut', ...who }))
    }
    await refused(server, 'not_enrolled', () => b.checkin({ MessageType: 'CheckOut', ...GRACE }))
    expect((await rows(A)).map(({ state }) => state)).toEqual(['enrolled', 'enrolled'])
  })

  describe('20: a TokenUpdate of what is not its own', () => {
    it('a foreign topic', async () => {
      for (const Topic of ['com.apple.mgmt.External.00000000-0000-0000-0000-000000000000', `${TOPIC}0`, TOPIC.toUpperCase()]) {
        await refused(server, Topic.startsWith('com.apple.mgmt.') ? 'topic_refused' : 'value', () => b.tokenUpdate({ Topic }))
      }
    })

    it('the token and the magic of A change the row of B alone', async () => {
      const [own] = await rows(A)
      await still(server)
      const before = await dumpTables(server.db)
      expect((await b.tokenUpdate({ Token: own?.['push_token'] as Buffer, PushMagic: String(own?.['push_magic']) })).status).toBe(200)
      await still(server)
      const after = await dumpTables(server.db)
      const changed = Object.keys(after).filter((name) => JSON.stringify(after[name]) !== JSON.stringify(before[name]))
      expect(changed.filter((name) => !['enrollments', 'events', 'push_wakes', 'pushes'].includes(name))).toEqual([])
      expect(before['enrollments']?.filter((row) => !after['enrollments']?.includes(row))).toEqual([expect.stringContaining(B)])
      expect((await b.tokenUpdate()).status).toBe(200)
    })
  })

  it('21: a bootstrap token is not given to another certificate that enrolls the same hardware, held or let in', async () => {
    const old = await enrolledIn(mode, server, newUdid())
    const ask = (device: RawDevice) => device.checkin({ MessageType: 'GetBootstrapToken', Topic: undefined })
    expect((await old.checkin({ MessageType: 'SetBootstrapToken', Topic: undefined, BootstrapToken: Buffer.alloc(64, 7) })).status).toBe(200)
    const held = await newcomer(old.udid)
    await held.authenticate()
    await held.tokenUpdate()
    expect((await unchanged(server, () => ask(held))).body).toEqual(encodePlist({}))
    expect((await unchanged(server, () => ask(old))).body.toString()).toContain('BootstrapToken')
    expect((await server.api('POST', `/devices/${old.udid}/enrollment/approve`)).status).toBe(200)
    expect((await unchanged(server, () => ask(held))).body).toEqual(encodePlist({}))
    await refused(server, 'revoked', () => ask(old))
  })

  it('22: a report about A’s command is answered with B’s next one, and A’s stays as it is', async () => {
    const ofA = await queue(A, 'CertificateList')
    expect((await a.idle())?.['CommandUUID']).toBe(ofA.command_uuid)
    const report = (Status: string, CommandUUID: string) => b.report({ Status, CommandUUID })
    for (const Status of ['Acknowledged', 'Error', 'CommandFormatError', 'NotNow']) {
      for (const uuid of [ofA.command_uuid, randomUUID()]) {
        const answer = await unchanged(server, () => report(Status, uuid))
        expect([Status, answer.status, answer.body.length]).toEqual([Status, 200, 0])
      }
    }
    const ofB = await queue(B, 'CertificateList')
    const answer = await report('Acknowledged', ofA.command_uuid)
    expect([answer.status, plistDict(decodePlist(answer.body))['CommandUUID']]).toEqual([200, ofB.command_uuid])
    expect((await server.api('GET', `/commands/${ofA.id}`)).json()).toMatchObject({ state: 'delivered' })
    await b.report({ Status: 'Acknowledged', CommandUUID: ofB.command_uuid })
    expect(await a.acknowledge(plistDict(decodePlist((await a.report({ Status: 'Idle' })).body)))).toBeUndefined()
  })

  it('23: declarations of A are not asked for, nor its status told, by B', async () => {
    const data = Buffer.from('{"StatusItems":{"of":"thief"},"FullReport":true}')
    const say = (fields: EncodableDict) => b.put(encodePlist({ MessageType: 'DeclarativeManagement', Data: data, ...fields }), CHECKIN)
    for (const who of [{ UDID: A }, { UDID: A, ...GRACE }]) {
      for (const Endpoint of ['tokens', 'declaration-items', 'declaration/configuration/a', 'declaration/asset/a', 'status']) {
        await refused(server, 'cert_enrollment_mismatch', () => say({ ...who, Endpoint }))
      }
    }
    // Its own name on what would be A's: there is no such thing in its set.
    for (const kind of ['asset', 'configuration', 'activation', 'management']) {
      const answer = await unchanged(server, () => say({ UDID: B, Endpoint: `declaration/${kind}/${A}`, Data: undefined }))
      expect([answer.status, answer.body.length]).toEqual([404, 0])
    }
  })

  it('24: a UDID, serial number or host name in an address opens nothing', async () => {
    const [device] = await server.db.query<{ id: string }>('select id from devices where device_key = $1', [A])
    const names = [A, 'F2LX9K7QN70R', 'Adas-iPad.local', device?.id ?? '']
    const paths = names.flatMap((name) => [
      `/e/${name}`, `/e/${name}/profile`, `/mdm/${name}`, `/mdm/checkin/${name}`, `/scep/${name}`, `/enroll/${name}`, `/profiles/${name}`, `/devices/${name}`,
    ])
    for (const path of paths) {
      const answer = await unchanged(server, () => server.http('GET', path), ['throttles'])
      expect({ path, status: answer.status }).toEqual({ path, status: 404 })
    }
    for (const name of names) expect((await unchanged(server, () => server.http('GET', `/api/v1/devices/${name}`))).status).toBe(401)
    const link = await server.link({ device: A })
    expect(Buffer.from(link, 'base64url').length * 8).toBeGreaterThanOrEqual(128)
  })

  it('25: there is no address of an app or a manifest to guess', async () => {
    for (const id of ['1', '2', A, randomUUID()]) {
      for (const path of [`/apps/${id}`, `/apps/${id}/manifest.plist`, `/manifest/${id}`, `/files/${id}`, `/downloads/${id}.ipa`, `/api/v1/apps/${id}`]) {
        const answer = await unchanged(server, () => send(server.httpUrl, undefined, 'GET', path, {}))
        expect({ path, status: answer.status }).toEqual({ path, status: 404 })
      }
    }
  })
})

