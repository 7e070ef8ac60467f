import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { signAttached, signDetached, signDetachedLikeIos, type Signer } from '../../src/apple/wire/cms-sign.ts'
import { encodePlist, type EncodableDict } from '../../src/apple/wire/plist-writer.ts'
import { request as httpRequest } from 'node:http'
import { certificateAuthority, certify, DAY, deviceCaOf, refused as expectRefused } from '../support/attacks.ts'
import { dumpTables, startBramley, still, TOPIC, type Answer, type TestServer } from '../support/bramley.ts'
import { CHECKIN, REPORT, enrolledDevice, obtainIdentity, rawDevice, selfSigned, signatureOf, type RawDevice } from '../support/raw-device.ts'

const A = '00008120-00000000000A'
const B = '00008120-00000000000B'

/** Making RSA keys is slow; one serves every stranger. */
const foreignKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey

let server: TestServer
let a: RawDevice
let b: RawDevice
let ca: Signer

beforeAll(async () => {
  server = await startBramley()
  a = await enrolledDevice(server, A, { token: { UnlockToken: randomBytes(64) } })
  b = await enrolledDevice(server, B)
  await server.api('POST', `/devices/${A}/commands`, { type: 'ProfileList' })
  ca = await deviceCaOf(server)
})
afterAll(() => server.stop())

const messages: [string, string, EncodableDict][] = [
  ['Authenticate', CHECKIN, { MessageType: 'Authenticate', Topic: TOPIC, UDID: A, ProductName: 'iPhone15,2' }],
  ['TokenUpdate', CHECKIN, { MessageType: 'TokenUpdate', Topic: TOPIC, UDID: A, Token: randomBytes(32), PushMagic: 'magic' }],
  ['CheckOut', CHECKIN, { MessageType: 'CheckOut', Topic: TOPIC, UDID: A }],
  ['SetBootstrapToken', CHECKIN, { MessageType: 'SetBootstrapToken', UDID: A, BootstrapToken: randomBytes(32) }],
  ['GetBootstrapToken', CHECKIN, { MessageType: 'GetBootstrapToken', UDID: A }],
  ['UserAuthenticate', CHECKIN, { MessageType: 'UserAuthenticate', UDID: A, UserID: '16C0477E-EB2F-4B5E-AAFD-92B2B91C4B16' }],
  ['a declarative status', CHECKIN, { MessageType: 'DeclarativeManagement', UDID: A, Endpoint: 'status', Data: Buffer.from('{"StatusItems":{}}') }],
  ['Idle', REPORT, { Status: 'Idle', UDID: A }],
  ['Acknowledged', REPORT, { Status: 'Acknowledged', CommandUUID: 'x', UDID: A }],
]

const refused = (reason: string, send: () => Promise<Answer>) => expectRefused(server, reason, send)

/** The answer to the headers alone of a request that announces so many bytes: what is too long is refused unread. */
function statusForLength(length: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${server.httpUrl}/mdm`, { method: 'PUT', headers: { 'content-type': REPORT, 'content-length': length } })
    request.on('response', (response) => {
      resolve(response.statusCode ?? 0)
      request.destroy()
    })
    request.on('error', reject)
    request.flushHeaders()
  })
}

const raw = (body: Buffer, contentType: string, header: string | undefined) => server.http('PUT', '/mdm', {
  headers: { 'content-type': contentType, ...(header !== undefined && { 'mdm-signature': header }) }, body,
})
const signedBy = (identity: Signer) => (body: Buffer) => signDetached(body, identity).toString('base64')

describe.each(messages)('an attack by %s', (_name, contentType, message) => {
  const body = encodePlist(message)
  const attempt = (reason: string, header: ((body: Buffer) => string) | undefined) => refused(reason, () => raw(body, contentType, header?.(body)))

  it('1: another device’s valid certificate', () => attempt('cert_enrollment_mismatch', (bytes) => signatureOf(bytes, b.identity)))
  it('3: no certificate at all', () => attempt('no_certificate', undefined))
  it('4: a self-signed clone with the same subject', () => attempt('untrusted_issuer', signedBy(selfSigned(foreignKey, a.identity.certificate.subject))))
  it('5: a certificate of another CA with the same name', () => attempt('untrusted_issuer', signedBy(certify({ issuer: certificateAuthority(ca.certificate.subject) }))))
  it('6: an expired certificate', () => attempt('expired', signedBy(certify({ issuer: ca, from: -2 * DAY, to: -DAY }))))
  it('6: a certificate that is not valid yet', () => attempt('not_yet_valid', signedBy(certify({ issuer: ca, from: DAY, to: 2 * DAY }))))
  it('7: a server certificate of our own CA', () => attempt('wrong_usage', signedBy(certify({ issuer: ca, profile: 'server' }))))
  it('7: the CA certificate itself', () => attempt('wrong_usage', signedBy(ca)))
  it('a certificate of our CA that nobody was issued', () => attempt('unknown_certificate', signedBy(certify({ issuer: ca }))))
  it('8: a signature over another body', () => attempt('bad_signature', () => signDetachedLikeIos(Buffer.from('other'), a.identity).toString('base64')))
  it('9: signed attributes that hold the digest of another body', () => attempt('digest_mismatch', () => signDetached(Buffer.from('other'), a.identity).toString('base64')))
  it('10: embedded content', () => attempt('cms_shape', (bytes) => signAttached(bytes, a.identity).toString('base64')))
  it('11: a header that is not base64, and one that is not CMS', async () => {
    const before = await dumpTables(server.db)
    for (const header of ['!!!!', 'AAAA', Buffer.from('{}').toString('base64')]) expect((await raw(body, contentType, header)).status).toBe(400)
    expect(await dumpTables(server.db)).toEqual(before)
  })
})

describe('attacks on the binding', () => {
  it('2: B’s certificate with A’s UDID and a user', () => refused('cert_enrollment_mismatch', () => {
    const body = encodePlist({ MessageType: 'TokenUpdate', Topic: TOPIC, UDID: A, UserID: '5A3C9E10-7F21-4B8D-A6C5-0D9E8F7A6B5C', UserShortName: 'ada', Token: randomBytes(32), PushMagic: 'm' })
    return raw(body, CHECKIN, signatureOf(body, b.identity))
  }))

  it('6: a revoked certificate', async () => {
    const c = await enrolledDevice(server, '00008120-00000000000C')
    await server.db.query('update certificates set revoked_at = now() where sha256 = $1', [c.identity.certificate.sha256])
    await refused('revoked', () => c.report({ Status: 'Idle' }))
  })

  it('8: a body changed on the way', () => refused('bad_signature', () => {
    const body = encodePlist({ Status: 'Idle', UDID: A })
    return raw(Buffer.from(body.toString().replace('Idle', 'NotNow')), REPORT, signatureOf(body, a.identity))
  }))

  it('17: a challenge made for another device does not open A’s enrollment', async () => {
    const { identity } = await obtainIdentity(server, await server.link({ device: B }))
    await refused('challenge_of_another_device', () => rawDevice(server, A, identity).authenticate())
  })

  it('17: a fresh certificate of an unbound link is held: 200 and nothing else, until an administrator decides', async () => {
    const { identity } = await obtainIdentity(server, await server.link())
    const newcomer = rawDevice(server, A, identity)
    expect((await newcomer.authenticate()).status).toBe(200)
    expect((await newcomer.tokenUpdate()).status).toBe(200)
    expect((await newcomer.report({ Status: 'Idle' })).body).toHaveLength(0)
    expect((await a.idle())?.['Command']).toMatchObject({ RequestType: 'ProfileList' })
    const row = await server.db.query<{ state: string }>(`select state from enrollments where device_key = $1 order by generation`, [A])
    expect(row.map(({ state }) => state)).toEqual(['enrolled', 'pending_approval'])
    expect((await server.api('POST', `/devices/${A}/enrollment/reject`)).status).toBe(200)
    await refused('revoked', () => newcomer.report({ Status: 'Idle' }))
    expect((await a.report({ Status: 'Idle' })).status).toBe(200)
  })

  it('17: approved, the newcomer replaces the old identity at once, without its queue or its secrets', async () => {
    const old = await enrolledDevice(server, '00008120-00000000000D', { token: { UnlockToken: randomBytes(32) } })
    await server.api('POST', `/devices/${old.udid}/commands`, { type: 'ProfileList' })
    const { identity } = await obtainIdentity(server, await server.link())
    const newcomer = rawDevice(server, old.udid, identity)
    await newcomer.authenticate()
    await newcomer.tokenUpdate()
    expect((await server.api('POST', `/devices/${old.udid}/enrollment/approve`)).json()).toMatchObject({ state: 'enrolled' })
    await refused('revoked', () => old.report({ Status: 'Idle' }))
    expect((await newcomer.report({ Status: 'Idle' })).body).toHaveLength(0)
    const [current] = await server.db.query<{ sealed_unlock_token: Buffer | null }>(`select sealed_unlock_token from enrollments where device_key = $1 and state = 'enrolled'`, [old.udid])
    expect(current?.sealed_unlock_token).toBeNull()
    expect((await server.api('POST', `/devices/${old.udid}/enrollment/approve`)).json()).toMatchObject({ code: 'not_pending' })
  })

  it('17: a link made for that device lets it through by itself', async () => {
    const old = await enrolledDevice(server, '00008120-00000000000E')
    const { identity } = await obtainIdentity(server, await server.link({ device: old.udid }))
    const again = rawDevice(server, old.udid, identity)
    await again.authenticate()
    await again.tokenUpdate()
    expect((await again.report({ Status: 'Idle' })).status).toBe(200)
    await refused('revoked', () => old.report({ Status: 'Idle' }))
  })

  it('18: TokenUpdate, CheckOut and SetBootstrapToken before Authenticate', async () => {
    const { identity } = await obtainIdentity(server, await server.link())
    const stranger = rawDevice(server, '00008120-00000000000F', identity)
    await refused('not_enrolled', () => stranger.tokenUpdate())
    await refused('not_enrolled', () => stranger.checkin({ MessageType: 'CheckOut' }))
    await refused('not_enrolled', () => stranger.checkin({ MessageType: 'SetBootstrapToken', BootstrapToken: randomBytes(32) }))
    await refused('not_enrolled', () => stranger.report({ Status: 'Idle' }))
  })

  it('20: a foreign topic', async () => {
    await refused('topic_refused', () => a.tokenUpdate({ Topic: 'com.apple.mgmt.External.00000000-0000-0000-0000-000000000000' }))
  })

  it('22: an acknowledgement of another device’s command is answered and changes nothing', async () => {
    const [command] = await server.db.query<{ command_uuid: string }>('select command_uuid from commands c join enrollments e on e.id = c.enrollment_id where e.device_key = $1', [A])
    await still(server)
    const before = await dumpTables(server.db)
    expect((await b.report({ Status: 'Acknowledged', CommandUUID: command?.command_uuid ?? '' })).status).toBe(200)
    expect(await dumpTables(server.db)).toEqual(before)
  })

  it('16: a replayed acknowledgement is answered and changes nothing', async () => {
    const queued = (await server.api('POST', `/devices/${B}/commands`, { type: 'SecurityInfo' })).json<{ command_uuid: string }>()
    await b.idle()
    const body = encodePlist({ UDID: B, Status: 'Acknowledged', CommandUUID: queued.command_uuid, SecurityInfo: {} })
    const header = signatureOf(body, b.identity)
    expect((await raw(body, REPORT, header)).status).toBe(200)
    await still(server)
    const before = await dumpTables(server.db)
    expect((await raw(body, REPORT, header)).status).toBe(200)
    expect(await dumpTables(server.db)).toEqual(before)
  })
})

describe('the shape of requests', () => {
  const idle = encodePlist({ Status: 'Idle', UDID: A })

  it('accepts a report without a content type, and refuses every other type', async () => {
    const header = signatureOf(idle, a.identity)
    expect((await server.http('PUT', '/mdm', { headers: { 'mdm-signature': header }, body: idle })).status).toBe(200)
    for (const type of ['text/xml', 'application/json', 'application/x-apple-aspen-mdmx', 'application/x-apple-aspen-mdm\u00a0']) {
      expect({ type, status: (await raw(idle, type, header)).status }).toEqual({ type, status: 415 })
    }
    expect((await server.http('PUT', '/mdm', { headers: { 'content-type': REPORT, 'mdm-signature': header, 'content-encoding': 'gzip' }, body: idle })).status).toBe(415)
  })

  it('answers other methods with 405', async () => {
    for (const method of ['GET', 'POST', 'DELETE', 'PATCH', 'OPTIONS']) {
      const answer = await server.http(method, '/mdm')
      expect({ method, status: answer.status, allow: answer.headers['allow'], length: answer.body.length }).toEqual({ method, status: 405, allow: 'PUT', length: 0 })
    }
  })

  it('answers a body above 8 MiB with 413, and a header above the limit with 400 or 431', async () => {
    const before = await dumpTables(server.db)
    expect(await statusForLength(8 * 1024 * 1024 + 1)).toBe(413)
    expect([400, 431]).toContain((await raw(idle, REPORT, 'A'.repeat(70_000))).status)
    expect([400, 431]).toContain((await raw(idle, REPORT, 'A'.repeat(60_000))).status)
    expect(await dumpTables(server.db)).toEqual(before)
  })

  it('writes no signature, token or magic into the log', () => {
    const text = JSON.stringify(server.logs)
    expect(text).not.toContain('E9B3C0F6-52D1-4A8B-9C77-1F2E3D4C5B6A')
    expect(text).not.toContain(signatureOf(idle, a.identity).slice(0, 40))
    expect(text).not.toMatch(/"(mdm-signature|authorization)"/i)
  })
})
