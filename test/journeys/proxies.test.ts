import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { Agent, request as httpsRequest } from 'node:https'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Signer } from '../../src/apple/wire/cms-sign.ts'
import { writeCertificatePem } from '../../src/apple/wire/pem.ts'
import { encodePlist, type EncodableDict } from '../../src/apple/wire/plist-writer.ts'
import { decodePlist, plistDict } from '../../src/apple/wire/plist.ts'
import { certificateAuthority, certify, DAY, deviceCaOf, refused } from '../support/attacks.ts'
import { KEY, send, startBramley, TOPIC, type Answer, type TestServer } from '../support/bramley.ts'
import { INSTALLED, MISSING, OWN, PEOPLE, PHONES, type Place, type Proxy } from '../support/proxies.ts'
import { CHECKIN, obtainIdentity, REPORT, selfSigned, signatureOf, uuidOf } from '../support/raw-device.ts'

type Headers = Record<string, string | string[]>

let server: TestServer
let ca: string
let place: Place
beforeAll(async () => {
  server = await startBramley({
    settings: {
      BRAMLEY_TLS: 'off', BRAMLEY_DEVICE_AUTH: 'proxy-header', BRAMLEY_TRUSTED_PROXIES: '127.0.0.1', BRAMLEY_PUBLIC_URL: `https://${PHONES}`,
    },
  })
  const root = certificateAuthority()
  const shown = certify({ issuer: root, profile: 'server', names: [{ dns: PHONES }, { dns: PEOPLE }] })
  ca = writeCertificatePem(root.certificate.der)
  place = { upstreamPort: Number(new URL(server.url).port), cert: join(server.dataFolder, 'proxy.pem'), key: join(server.dataFolder, 'proxy.key') }
  writeFileSync(place.cert, writeCertificatePem(shown.certificate.der))
  writeFileSync(place.key, pemKey(shown))
})
afterAll(() => server.stop())

const pemKey = ({ key }: Signer) => key.export({ format: 'pem', type: 'pkcs8' }).toString()
const rfc9440 = ({ certificate }: Signer) => `:${certificate.der.toString('base64')}:`
const escaped = ({ certificate }: Signer) => encodeURIComponent(writeCertificatePem(certificate.der))
let udids = 0
const newUdid = () => `00008140-${(++udids).toString(16).padStart(16, '0').toUpperCase()}`

it('every proxy that has an example in docs/proxies is here where CI runs', () => {
  // .ci/run installs them. Elsewhere those that are missing are left out, and said.
  if (MISSING.length > 0) process.stderr.write(`proxies.test.ts: not installed here, so not run: ${MISSING.join(', ')}\n`)
  expect(process.env['CI'] ? MISSING : []).toEqual([])
})

describe.each([OWN, ...INSTALLED])('behind $name', (kind) => {
  let proxy: Proxy
  let a: Phone
  let b: Phone
  beforeAll(async () => {
    proxy = await kind.start(place)
    a = await enrolled()
    b = await enrolled()
  })
  afterAll(() => proxy?.stop())

  interface Phone {
    udid: string
    identity: Signer
  }

  /** One request to a name behind the proxy, with a certificate in the handshake or without. */
  function ask(method: string, path: string, o: { as?: Signer | undefined; host?: string; headers?: Headers; body?: Buffer } = {}): Promise<Answer> {
    const host = o.host ?? PHONES
    const port = host === PHONES ? proxy.phonesPort : proxy.peoplePort
    const agent = new Agent({ ca, servername: host, ...(o.as && { cert: writeCertificatePem(o.as.certificate.der), key: pemKey(o.as) }) })
    const headers = { host: `${host}:${port}`, ...o.headers }
    return send(`https://127.0.0.1:${port}`, agent, method, path, { headers, ...(o.body && { body: o.body }) }).finally(() => agent.destroy())
  }

  function say(phone: Phone, message: EncodableDict, o: { as?: Signer | undefined; host?: string; headers?: Headers } = {}): Promise<Answer> {
    const type = 'MessageType' in message ? CHECKIN : REPORT
    const body = encodePlist({ UDID: phone.udid, ...message })
    return ask('PUT', '/mdm', { as: phone.identity, ...o, headers: { 'content-type': type, ...o.headers }, body })
  }

  /** Link, profile, SCEP and check-in, all through the proxy; the signature beside the certificate, as phones send both. */
  async function enrolled(): Promise<Phone> {
    const throughProxy = { ...server, http: (method, path, o = {}) => ask(method, path, o as object) } satisfies TestServer
    const { identity, profile } = await obtainIdentity(throughProxy, await server.link())
    expect(profile.serverUrl).toBe(`https://${PHONES}/mdm`)
    const phone = { udid: newUdid(), identity }
    const messages: EncodableDict[] = [
      { MessageType: 'Authenticate', ProductName: 'iPhone15,2' }, { MessageType: 'TokenUpdate', Token: server.apns.register(TOPIC), PushMagic: 'magic' },
    ]
    for (const fields of messages) {
      const body = encodePlist({ UDID: phone.udid, Topic: TOPIC, ...fields })
      const headers = { 'content-type': CHECKIN, 'mdm-signature': signatureOf(body, identity) }
      expect((await ask('PUT', '/mdm', { as: identity, headers, body })).status).toBe(200)
    }
    return phone
  }

  const idle = { Status: 'Idle' }

  it('a phone enrolls and polls by its client certificate alone', async () => {
    const { id } = (await server.api('POST', `/devices/${a.udid}/commands`, { type: 'ProfileList' })).json<{ id: string }>()
    const handed = await say(a, idle)
    const command = plistDict(decodePlist(handed.body))
    expect(command['Command']).toMatchObject({ RequestType: 'ProfileList' })
    const last = await say(a, { Status: 'Acknowledged', CommandUUID: uuidOf(command), ProfileList: [] })
    expect([last.status, last.body.length]).toEqual([200, 0])
    expect((await server.api('GET', `/commands/${id}`)).json()).toMatchObject({ state: 'acknowledged' })
  })

  it('a phone is known again on a resumed TLS session', async () => {
    const agent = new Agent({ ca, servername: PHONES, cert: writeCertificatePem(a.identity.certificate.der), key: pemKey(a.identity), maxVersion: 'TLSv1.2' })
    const poll = () => new Promise<[number | undefined, boolean]>((resolve, reject) => {
      const options = { method: 'PUT', agent, headers: { host: `${PHONES}:${proxy.phonesPort}`, 'content-type': REPORT, connection: 'close' } }
      httpsRequest(`https://127.0.0.1:${proxy.phonesPort}/mdm`, options, (response) => {
        const reused = (response.socket as TLSSocket).isSessionReused()
        response.resume().on('end', () => resolve([response.statusCode, reused]))
      }).on('error', reject).end(encodePlist({ UDID: a.udid, ...idle }))
    })
    expect([await poll(), await poll()]).toEqual([[200, false], [200, true]])
    agent.destroy()
  })

  it('a phone may send a large report and a long signature', async () => {
    const body = encodePlist({ UDID: a.udid, ...idle, Padding: randomBytes(4 * 1024 * 1024) })
    const headers = { 'content-type': REPORT, 'mdm-signature': signatureOf(body, a.identity), 'x-padding': 'x'.repeat(12 * 1024) }
    expect((await ask('PUT', '/mdm', { as: a.identity, headers, body })).status).toBe(200)
  })

  it('a phone without a certificate is nobody', () => refused(server, 'no_certificate', () => say(a, idle, { as: undefined })))

  it.each([
    ['of another CA', 'untrusted_issuer', async () => certify({ issuer: certificateAuthority() })],
    ['made by the phone itself', 'untrusted_issuer', async () => selfSigned(a.identity.key, a.identity.certificate.subject)],
    ['of our CA that nobody was issued', 'unknown_certificate', async () => certify({ issuer: await deviceCaOf(server) })],
  ])('a certificate %s reaches the server, which refuses it', async (_name, reason, make) => {
    const identity = await make()
    await refused(server, reason, () => say(a, idle, { as: identity }))
  })

  it('an expired certificate is refused, by nginx already', async () => {
    const expired = certify({ issuer: await deviceCaOf(server), from: -2 * DAY, to: -DAY })
    if (kind.name === 'nginx') expect((await say(a, idle, { as: expired })).status).toBe(400)
    else await refused(server, 'expired', () => say(a, idle, { as: expired }))
  })

  it.each(['RFC 9440', 'escaped PEM'])('a header that the phone brings along (%s) is replaced by what the proxy saw', async (form) => {
    const stolen = form === 'RFC 9440' ? rfc9440(a.identity) : escaped(a.identity)
    await refused(server, 'cert_enrollment_mismatch', () => say(a, idle, { as: b.identity, headers: { 'client-cert': stolen } }))
    await refused(server, 'cert_enrollment_mismatch', () => say(a, idle, { as: b.identity, headers: { 'client-cert': [stolen, stolen] } }))
    await refused(server, 'no_certificate', () => say(a, idle, { as: undefined, headers: { 'client-cert': stolen } }))
    expect((await say(b, idle, { headers: { 'client-cert': stolen } })).status).toBe(200)
  })

  it('a header with _ for - never speaks for anybody', async () => {
    const headers = { Client_Cert: rfc9440(a.identity) }
    const reasons = kind.name === 'nginx' ? ['cert_enrollment_mismatch', 'no_certificate'] : ['proxy_header_shape', 'proxy_header_shape']
    await refused(server, reasons[0] ?? '', () => say(a, idle, { as: b.identity, headers }))
    await refused(server, reasons[1] ?? '', () => say(a, idle, { as: undefined, headers }))
  })

  it('the name for people passes no certificate on, not even one in a header', async () => {
    const scripts = await ask('GET', '/api/v1/devices', { host: PEOPLE, headers: { authorization: `Bearer ${KEY}` } })
    expect(scripts.status).toBe(200)
    await refused(server, 'no_certificate', () => say(a, idle, { host: PEOPLE, headers: { 'client-cert': rfc9440(a.identity) } }))
  })

  it('the name for phones has pages and profiles, but no API', async () => {
    const link = await server.link()
    expect((await ask('GET', `/e/${link}`)).status).toBe(200)
    expect((await ask('GET', '/enroll')).status).toBe(200)
    for (const path of ['/api/v1/devices', '/v1/push/x', '/healthz', '/']) expect((await ask('GET', path)).status).toBe(404)
  })
})
