import { randomBytes } from 'node:crypto'
import { Agent, request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Signer } from '../../src/apple/wire/cms-sign.ts'
import { writeCertificatePem } from '../../src/apple/wire/pem.ts'
import { encodePlist, type EncodableDict } from '../../src/apple/wire/plist-writer.ts'
import { send, startBramley, TOPIC, type Answer, type TestServer } from '../support/bramley.ts'
import { certificateAuthority, certify, DAY, deviceCaOf, refused } from '../support/attacks.ts'
import { CHECKIN, REPORT, obtainIdentity, selfSigned, signatureOf } from '../support/raw-device.ts'

const A = '00008120-00000000000A'
const B = '00008120-00000000000B'

type Headers = Record<string, string | string[]>
interface Proof {
  /** In the TLS handshake. */
  tls?: Signer
  headers?: Headers
  /** The address of the socket. */
  from?: string
}

const rfc9440 = (identity: Signer) => `:${identity.certificate.der.toString('base64')}:`
const pemOf = (identity: Signer) => writeCertificatePem(identity.certificate.der)

/** One message with whatever proof the test wants to show. */
async function put(server: TestServer, body: Buffer, contentType: string, proof: Proof): Promise<Answer> {
  const agent = new Agent({
    ca: server.ca, ...(proof.from && { localAddress: proof.from }),
    ...(proof.tls && { cert: pemOf(proof.tls), key: proof.tls.key.export({ format: 'pem', type: 'pkcs8' }) }),
  })
  return send(server.url, agent, 'PUT', '/mdm', { headers: { 'content-type': contentType, ...proof.headers }, body }).finally(() => agent.destroy())
}

const MODES = [
  { mode: 'mtls', settings: { BRAMLEY_DEVICE_AUTH: 'mtls' }, prove: (identity: Signer): Proof => ({ tls: identity }) },
  {
    mode: 'proxy-header',
    settings: { BRAMLEY_DEVICE_AUTH: 'proxy-header', BRAMLEY_TRUSTED_PROXIES: '127.0.0.1' },
    prove: (identity: Signer): Proof => ({ headers: { 'Client-Cert': rfc9440(identity) } }),
  },
]

const messages: [string, string, EncodableDict][] = [
  ['Authenticate', CHECKIN, { MessageType: 'Authenticate', Topic: TOPIC, UDID: A, ProductName: 'iPhone15,2' }],
  ['TokenUpdate', CHECKIN, { MessageType: 'TokenUpdate', Topic: TOPIC, UDID: A, Token: randomBytes(32), PushMagic: 'magic' }],
  ['CheckOut', CHECKIN, { MessageType: 'CheckOut', Topic: TOPIC, UDID: A }],
  ['Idle', REPORT, { Status: 'Idle', UDID: A }],
  ['Acknowledged', REPORT, { Status: 'Acknowledged', CommandUUID: 'x', UDID: A }],
]
const idle = encodePlist({ Status: 'Idle', UDID: A })

/** A device that enrolled with the proof of the server's mode. */
async function enrolled(server: TestServer, udid: string, prove: (identity: Signer) => Proof): Promise<Signer> {
  const { identity } = await obtainIdentity(server, await server.link())
  const say = async (message: EncodableDict) => (await put(server, encodePlist({ Topic: TOPIC, UDID: udid, ...message }), CHECKIN, prove(identity))).status
  expect(await say({ MessageType: 'Authenticate', ProductName: 'iPhone15,2' })).toBe(200)
  expect(await say({ MessageType: 'TokenUpdate', Token: server.apns.register(TOPIC), PushMagic: 'magic' })).toBe(200)
  return identity
}

describe.each(MODES)('$mode', ({ settings, prove }) => {
  let server: TestServer
  let a: Signer
  let b: Signer
  let ca: Signer
  let twin: Signer
  beforeAll(async () => {
    server = await startBramley({ settings })
    a = await enrolled(server, A, prove)
    b = await enrolled(server, B, prove)
    ca = await deviceCaOf(server)
    twin = certificateAuthority(ca.certificate.subject)
  })
  afterAll(() => server.stop())

  it('hands out commands to the device whose certificate it is', async () => {
    await server.api('POST', `/devices/${A}/commands`, { type: 'ProfileList' })
    const answer = await put(server, idle, REPORT, prove(a))
    expect({ status: answer.status, body: answer.body.toString() }).toMatchObject({ status: 200, body: expect.stringContaining('ProfileList') })
  })

  it('accepts a signature beside it, by the same certificate', async () => {
    const proof = prove(a)
    expect((await put(server, idle, REPORT, { ...proof, headers: { ...proof.headers, 'mdm-signature': signatureOf(idle, a) } })).status).toBe(200)
  })

  describe.each(messages)('an attack by %s', (_name, contentType, message) => {
    const body = encodePlist(message)
    const attempt = (reason: string, proof: Proof) => refused(server, reason, () => put(server, body, contentType, proof))

    it('1: another device’s valid certificate', () => attempt('cert_enrollment_mismatch', prove(b)))
    it('3: no certificate at all', () => attempt('no_certificate', {}))
    it('3: a signature alone, however good', () => attempt('no_certificate', { headers: { 'mdm-signature': signatureOf(body, a) } }))
    it('4: a self-signed clone with the same subject', () => attempt('untrusted_issuer', prove(selfSigned(a.key, a.certificate.subject))))
    it('5, 62: a certificate of another CA with the same name', () => attempt('untrusted_issuer', prove(certify({ issuer: twin }))))
    it('6: an expired certificate', () => attempt('expired', prove(certify({ issuer: ca, from: -2 * DAY, to: -DAY }))))
    it('6: a certificate that is not valid yet', () => attempt('not_yet_valid', prove(certify({ issuer: ca, from: DAY, to: 2 * DAY }))))
    it('7: a server certificate of our own CA', () => attempt('wrong_usage', prove(certify({ issuer: ca, profile: 'server' }))))
    it('7: the CA certificate itself', () => attempt('wrong_usage', prove(ca)))
    it('a certificate of our CA that nobody was issued', () => attempt('unknown_certificate', prove(certify({ issuer: ca }))))
    it('12: a signature by somebody else beside it', () => {
      const proof = prove(a)
      return attempt('identity_conflict', { ...proof, headers: { ...proof.headers, 'mdm-signature': signatureOf(body, b) } })
    })
    it('8: a broken signature beside it', () => {
      const proof = prove(a)
      return attempt('bad_signature', { ...proof, headers: { ...proof.headers, 'mdm-signature': signatureOf(Buffer.from('other'), a) } })
    })
  })

  it('2: B’s certificate with A’s UDID and a user', () => refused(server, 'cert_enrollment_mismatch', () =>
    put(server, encodePlist({ MessageType: 'TokenUpdate', Topic: TOPIC, UDID: A, UserID: '5A3C9E10-7F21-4B8D-A6C5-0D9E8F7A6B5C', UserShortName: 'ada', Token: randomBytes(32), PushMagic: 'm' }), CHECKIN, prove(b))))

  it('6: a revoked certificate', async () => {
    const c = await enrolled(server, '00008120-00000000000C', prove)
    await server.db.query('update certificates set revoked_at = now() where sha256 = $1', [c.certificate.sha256])
    await refused(server, 'revoked', () => put(server, encodePlist({ Status: 'Idle', UDID: '00008120-00000000000C' }), REPORT, prove(c)))
  })

  it('18: TokenUpdate and CheckOut before Authenticate', async () => {
    const { identity } = await obtainIdentity(server, await server.link())
    for (const message of [{ MessageType: 'TokenUpdate', Token: randomBytes(32), PushMagic: 'm' }, { MessageType: 'CheckOut' }]) {
      const body = encodePlist({ Topic: TOPIC, UDID: '00008120-00000000000F', ...message })
      await refused(server, 'not_enrolled', () => put(server, body, CHECKIN, prove(identity)))
    }
  })
})

describe('mtls', () => {
  let server: TestServer
  let a: Signer
  let b: Signer
  const tls = (identity: Signer): Proof => ({ tls: identity })
  beforeAll(async () => {
    server = await startBramley({ settings: { BRAMLEY_DEVICE_AUTH: 'mtls', BRAMLEY_TRUSTED_PROXIES: '127.0.0.1' } })
    a = await enrolled(server, A, tls)
    b = await enrolled(server, B, tls)
  })
  afterAll(() => server.stop())

  it('asks nobody else for a certificate: pages and scripts do without', async () => {
    expect((await server.http('GET', '/healthz')).status).toBe(200)
    expect((await server.api('GET', '/devices')).status).toBe(200)
  })

  it('knows the certificate of a resumed TLS session', async () => {
    const agent = new Agent({ ca: server.ca, cert: pemOf(a), key: a.key.export({ format: 'pem', type: 'pkcs8' }), maxVersion: 'TLSv1.2' })
    const poll = () => new Promise<[number | undefined, boolean]>((resolve, reject) => {
      const request = httpsRequest(`${server.url}/mdm`, { method: 'PUT', agent, headers: { 'content-type': REPORT } }, (response) => {
        const reused = (response.socket as TLSSocket).isSessionReused()
        response.resume().on('end', () => resolve([response.statusCode, reused]))
      })
      request.on('error', reject).end(idle)
    })
    expect([await poll(), await poll()]).toEqual([[200, false], [200, true]])
    agent.destroy()
  })

  it('12: the header of a trusted proxy beside it must be the same certificate', async () => {
    expect((await put(server, idle, REPORT, { tls: a, headers: { 'client-cert': rfc9440(a) } })).status).toBe(200)
    await refused(server, 'identity_conflict', () => put(server, idle, REPORT, { tls: a, headers: { 'client-cert': rfc9440(b) } }))
    await refused(server, 'proxy_header_shape', () => put(server, idle, REPORT, { tls: a, headers: { 'client-cert': '' } }))
  })

  it('13: a header instead of the handshake proves nothing, from a trusted proxy or over plain HTTP', async () => {
    await refused(server, 'no_certificate', () => put(server, idle, REPORT, { headers: { 'client-cert': rfc9440(a) } }))
    await refused(server, 'no_certificate', () => server.http('PUT', '/mdm', { base: server.httpUrl, headers: { 'content-type': REPORT, 'client-cert': rfc9440(a) }, body: idle }))
  })
})

describe('proxy-header', () => {
  let server: TestServer
  let a: Signer
  let b: Signer
  const header = (value: string | string[], name = 'Client-Cert'): Proof => ({ headers: { [name]: value } })
  const byHeader = (identity: Signer) => header(rfc9440(identity))
  const poll = (proof: Proof) => put(server, idle, REPORT, proof)
  beforeAll(async () => {
    server = await startBramley({ settings: { BRAMLEY_DEVICE_AUTH: 'proxy-header', BRAMLEY_TRUSTED_PROXIES: '127.0.0.1' } })
    a = await enrolled(server, A, byHeader)
    b = await enrolled(server, B, byHeader)
  })
  afterAll(() => server.stop())

  const percent = (text: string) => encodeURIComponent(text)
  it.each<[string, (identity: Signer) => string]>([
    ['RFC 9440', rfc9440],
    ['nginx: PEM, everything escaped', (identity) => percent(pemOf(identity))],
    ['AWS: PEM with + = / as they are', (identity) => percent(pemOf(identity)).replaceAll('%2B', '+').replaceAll('%3D', '=').replaceAll('%2F', '/')],
    ['Traefik and HAProxy: base64', (identity) => identity.certificate.der.toString('base64')],
    ['base64, escaped', (identity) => percent(identity.certificate.der.toString('base64'))],
  ])('reads %s', async (_name, write) => {
    expect((await poll(header(write(a)))).status).toBe(200)
  })

  it('13: from an address that is not trusted the header means nothing, whatever X-Forwarded-For says', async () => {
    await refused(server, 'no_certificate', () => poll({ ...byHeader(a), from: '127.0.0.2' }))
    await refused(server, 'no_certificate', () => poll({ headers: { 'Client-Cert': rfc9440(a), 'X-Forwarded-For': '127.0.0.1' }, from: '127.0.0.2' }))
  })

  it.each<[string, () => Proof]>([
    ['the header twice', () => header([rfc9440(a), rfc9440(a)])],
    ['the header twice, once empty', () => header(['', rfc9440(a)])],
    ['a list', () => header(`${rfc9440(a)}, ${rfc9440(b)}`)],
    ['a list of bare base64', () => header(`${a.certificate.der.toString('base64')},${b.certificate.der.toString('base64')}`)],
    ['two certificates in one PEM', () => header(percent(pemOf(a) + pemOf(b)))],
    ['an underscore twin', () => header(rfc9440(a), 'Client_Cert')],
    ['an underscore twin beside it', () => ({ headers: { 'Client-Cert': rfc9440(a), Client_Cert: rfc9440(b) } })],
    ['a PEM with spaces for line breaks', () => header(pemOf(a).trim().replaceAll('\n', ' '))],
  ])('14: refuses %s', (_name, proof) => refused(server, 'proxy_header_shape', () => poll(proof())))

  it.each([
    ['Caddy’s own text', ':{http.request.tls.client.certificate_der_base64}:'],
    ['Apache’s', '(null)'],
    ['nothing', ''],
    ['broken base64', ':AAAA'],
    ['base64 of something else', ':AAAA:'],
    ['a broken escape', '%E0%A4%A'],
    ['a key', percent('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n')],
  ])('takes %s for no certificate', (_name, value) => refused(server, 'no_certificate', () => poll(header(value))))

  it('14: refuses a folded header', async () => {
    const text = rfc9440(a)
    const message = (value: string) => ['PUT /mdm HTTP/1.1', 'Host: x', `Content-Type: ${REPORT}`, `Client-Cert: ${value}`, `Content-Length: ${idle.length}`, '', idle.toString()].join('\r\n')
    expect(await statusLine(server.httpUrl, message(text))).toMatch(/^HTTP\/1\.1 200 /)
    expect(await statusLine(server.httpUrl, message(`${text.slice(0, 40)}\r\n ${text.slice(40)}`))).toMatch(/^HTTP\/1\.1 400 /)
  })
})

describe('signature', () => {
  it('12, 13: refuses the header of a trusted proxy with another certificate, and does not look at anybody else’s', async () => {
    const server = await startBramley({ settings: { BRAMLEY_TRUSTED_PROXIES: '127.0.0.1' } })
    const { identity: b } = await obtainIdentity(server, await server.link())
    const { identity: a } = await obtainIdentity(server, await server.link())
    const body = encodePlist({ MessageType: 'Authenticate', Topic: TOPIC, UDID: A, ProductName: 'iPhone15,2' })
    const speak = (from: string) => put(server, body, CHECKIN, { from, headers: { 'mdm-signature': signatureOf(body, a), 'client-cert': rfc9440(b) } })
    await refused(server, 'identity_conflict', () => speak('127.0.0.1'))
    expect((await speak('127.0.0.2')).status).toBe(200)
    await server.stop()
  })
})

/** The first line that comes back for these bytes. */
function statusLine(base: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(base).port), '127.0.0.1', () => socket.write(text))
    socket.once('data', (data) => {
      resolve(data.toString().split('\r\n', 1)[0] ?? '')
      socket.destroy()
    })
    socket.once('error', reject)
  })
}
