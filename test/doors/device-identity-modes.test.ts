import { Agent, request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Signer } from '../../src/apple/wire/cms-sign.ts'
import { encodePlist } from '../../src/apple/wire/plist-writer.ts'
import { refused, unchanged } from '../support/attacks.ts'
import { startBramley, type TestServer } from '../support/bramley.ts'
import { enrolledIn, MODES, pemOf, put, rfc9440, type Headers, type Mode, type Proof } from '../support/modes.ts'
import { REPORT, signatureOf } from '../support/raw-device.ts'

const A = '00008120-00000000000A'
const B = '00008120-00000000000B'

const [, mtls, byHeader] = MODES as [Mode, Mode, Mode]
const idle = encodePlist({ Status: 'Idle', UDID: A })

describe.each(MODES)('$mode', (mode) => {
  let server: TestServer
  let a: Signer
  let b: Signer
  beforeAll(async () => {
    server = await startBramley({ settings: mode.settings })
    a = (await enrolledIn(mode, server, A)).identity
    b = (await enrolledIn(mode, server, B)).identity
  })
  afterAll(() => server.stop())

  const others = [
    ['mdm-signature', 'signature', (identity: Signer) => signatureOf(idle, identity)],
    ['client-cert', 'header of a trusted proxy', rfc9440],
  ] as const
  it.each(others.filter(([field]) => field !== mode.header))('3, 13: %s alone, however good, proves nothing', (field, _what, write) => (
    refused(server, 'no_certificate', () => put(server, idle, REPORT, { headers: { [field]: write(a) } }))))

  it('13: from an address that is not trusted the header means nothing, whatever X-Forwarded-For says', async () => {
    const header = { 'client-cert': rfc9440(a), 'x-forwarded-for': '127.0.0.1', forwarded: 'for=127.0.0.1' }
    await refused(server, 'no_certificate', () => put(server, idle, REPORT, { headers: header, from: '127.0.0.2' }))
    // Where something else decides, it is not even looked at beside it.
    if (mode.header === 'client-cert') return
    const proof = mode.prove(a, idle)
    const strange = { 'client-cert': rfc9440(b), Client_Cert: 'x, y' }
    expect((await put(server, idle, REPORT, { ...proof, headers: { ...strange, ...proof.headers }, from: '127.0.0.2' })).status).toBe(200)
  })

  it.each<[string, (mine: Signer, other: Signer) => Headers]>([
    ['the header twice', (mine) => ({ 'Client-Cert': [rfc9440(mine), rfc9440(mine)] })],
    ['the header twice, once empty', (mine) => ({ 'Client-Cert': ['', rfc9440(mine)] })],
    ['a list', (mine, other) => ({ 'Client-Cert': `${rfc9440(mine)}, ${rfc9440(other)}` })],
    ['a list of bare base64', (mine, other) => ({ 'Client-Cert': `${mine.certificate.der.toString('base64')},${other.certificate.der.toString('base64')}` })],
    ['two certificates in one PEM', (mine, other) => ({ 'Client-Cert': encodeURIComponent(pemOf(mine) + pemOf(other)) })],
    ['an underscore twin', (mine) => ({ Client_Cert: rfc9440(mine) })],
    ['an underscore twin beside it', (mine, other) => ({ 'Client-Cert': rfc9440(mine), Client_Cert: rfc9440(other) })],
    ['a PEM with spaces for line breaks', (mine) => ({ 'Client-Cert': pemOf(mine).trim().replaceAll('\n', ' ') })],
  ])('14: refuses %s from a trusted proxy, whatever stands beside it', (_name, write) => {
    const { tls, headers } = mode.prove(a, idle)
    const { 'client-cert': _own, ...rest } = headers ?? {}
    return refused(server, 'proxy_header_shape', () => put(server, idle, REPORT, { ...(tls && { tls }), headers: { ...rest, ...write(a, b) } }))
  })

  it('14: refuses a folded header', async () => {
    const text = rfc9440(a)
    const message = (value: string) => ['PUT /mdm HTTP/1.1', 'Host: x', `Content-Type: ${REPORT}`, `Client-Cert: ${value}`, `Content-Length: ${idle.length}`, '', idle.toString()].join('\r\n')
    const folded = await unchanged(server, () => statusLine(server.httpUrl, message(`${text.slice(0, 40)}\r\n ${text.slice(40)}`)))
    expect(folded).toMatch(/^HTTP\/1\.1 400 /)
    expect(await statusLine(server.httpUrl, message(text))).toMatch(mode.header === 'client-cert' ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 400 /)
  })
})

describe('mtls', () => {
  let server: TestServer
  let a: Signer
  let b: Signer
  beforeAll(async () => {
    server = await startBramley({ settings: mtls.settings })
    a = (await enrolledIn(mtls, server, A)).identity
    b = (await enrolledIn(mtls, server, B)).identity
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

  it('14: an empty header beside a handshake is refused', async () => {
    await refused(server, 'proxy_header_shape', () => put(server, idle, REPORT, { tls: a, headers: { 'client-cert': '' } }))
  })

  it('12: three identities at once', async () => {
    const c = (await enrolledIn(mtls, server, '00008120-00000000000C')).identity
    await refused(server, 'identity_conflict', () => put(server, idle, REPORT, { tls: a, headers: { 'mdm-signature': signatureOf(idle, b), 'client-cert': rfc9440(c) } }))
  })

  it('13: a header instead of the handshake proves nothing over plain HTTP either', async () => {
    await refused(server, 'no_certificate', () => server.http('PUT', '/mdm', { base: server.httpUrl, headers: { 'content-type': REPORT, 'client-cert': rfc9440(a) }, body: idle }))
  })
})

describe('proxy-header', () => {
  let server: TestServer
  let a: Signer
  const header = (value: string): Proof => ({ headers: { 'Client-Cert': value } })
  const poll = (proof: Proof) => put(server, idle, REPORT, proof)
  beforeAll(async () => {
    server = await startBramley({ settings: byHeader.settings })
    a = (await enrolledIn(byHeader, server, A)).identity
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

  it.each([
    ['Caddy’s own text', ':{http.request.tls.client.certificate_der_base64}:'],
    ['Apache’s', '(null)'],
    ['nothing', ''],
    ['broken base64', ':AAAA'],
    ['base64 of something else', ':AAAA:'],
    ['a broken escape', '%E0%A4%A'],
    ['55: a certificate of 10 000 lengths in each other', Buffer.from('3080'.repeat(10_000), 'hex').toString('base64')],
    ['55: a length of 2^63', Buffer.from('30888000000000000000', 'hex').toString('base64')],
    ['a key', percent('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n')],
  ])('takes %s for no certificate', (_name, value) => refused(server, 'no_certificate', () => poll(header(value))))
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
