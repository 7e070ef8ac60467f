import { writeFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeCertificatePem } from '../../src/apple/wire/pem.ts'
import { encodePlist } from '../../src/apple/wire/plist-writer.ts'
import { connectApnsListener, enrollDevice, type ApnsListener, type SimulatedDevice } from '../../src/simulator/index.ts'
import { certificateAuthority, certify, refused } from '../support/attacks.ts'
import { dumpTables, send, startBramley, still, TOPIC, until, type TestServer } from '../support/bramley.ts'
import { freePort } from '../support/free-port.ts'
import { CHECKIN, downloadProfile, enrolledDevice, obtainIdentity, REPORT, signatureOf, type RawDevice } from '../support/raw-device.ts'

let main: TestServer
let checkins: TestServer
let checkinUrl: string
let apns: ApnsListener
beforeAll(async () => {
  const [mainPort, checkinPort] = [await freePort(), await freePort()]
  checkinUrl = `https://localhost:${checkinPort}`
  main = await startBramley({
    settings: { BRAMLEY_LISTEN: `127.0.0.1:${mainPort}`, BRAMLEY_PUBLIC_URL: `https://127.0.0.1:${mainPort}`, BRAMLEY_CHECKIN_URL: checkinUrl },
  })
  checkins = await startBramley({
    beside: main, settings: { BRAMLEY_LISTEN: `127.0.0.1:${checkinPort}`, BRAMLEY_CHECKIN_URL: checkinUrl, BRAMLEY_DOORS: 'checkin' },
  })
  apns = await connectApnsListener({ host: '127.0.0.1', port: main.apns.port, ca: main.apns.caPem })
})
afterAll(async () => {
  await apns?.close()
  await checkins?.stop()
  await main?.stop()
})

/** What a device said to a process, in order. */
const saidTo = (server: TestServer, udid: string) => server.logs.flatMap((line) => (line['device'] === udid && typeof line['said'] === 'string' ? [line['said']] : []))
const separate = () => main.link({ separate_checkin: true })

describe('a phone whose link has a check-in address of its own', () => {
  let phone: SimulatedDevice
  let udid: string
  beforeAll(async () => {
    phone = await enrollDevice({ url: main.url, link: await separate(), ca: main.ca, apns })
    udid = phone.hardware.udid
  })
  afterAll(() => phone?.stop())

  it('is told both addresses, and what to know the check-in process by', async () => {
    const profile = await downloadProfile(main, await separate())
    expect([profile.serverUrl, profile.checkInUrl]).toEqual([`${main.url}/mdm`, `${checkinUrl}/mdm/checkin`])
    expect(profile.roots).toHaveLength(2)
    const attempts = (await main.api('GET', '/enrollments')).json<{ data: object[] }>().data
    expect(attempts[0]).toMatchObject({ checkin_url: `${checkinUrl}/mdm/checkin` })
  })

  it('enrolls at the check-in process and polls at the other', async () => {
    expect(saidTo(checkins, udid)).toEqual(['Authenticate', 'TokenUpdate'])
    const { id } = (await main.api('POST', `/devices/${udid}/commands`, { type: 'ProfileList' })).json<{ id: string }>()
    await phone.executed(1)
    await until(async () => (await main.api('GET', `/commands/${id}`)).json()['state'] === 'acknowledged', 'the answer')
    expect(saidTo(main, udid)).toEqual(expect.arrayContaining(['Idle', 'Acknowledged']))
    expect(saidTo(main, udid)).not.toContain('Authenticate')
    expect(saidTo(checkins, udid)).toEqual(['Authenticate', 'TokenUpdate'])
  })

  it('is woken under the token that it told the check-in process last', async () => {
    await phone.tokenUpdate({ newToken: true })
    const before = phone.history.length
    await main.api('POST', `/devices/${udid}/commands`, { type: 'SecurityInfo' })
    await phone.executed(before + 1)
    expect(phone.history.at(-1)).toMatchObject({ requestType: 'SecurityInfo', status: 'Acknowledged' })
  })

  it('renews its identity at the one and shows it first at the other', async () => {
    await phone.renewIdentity({ announce: false })
    await main.api('POST', `/devices/${udid}/commands`, { type: 'CertificateList' })
    await until(async () => phone.history.at(-1)?.requestType === 'CertificateList', 'the poll')
    await phone.tokenUpdate()
    expect(saidTo(checkins, udid).at(-1)).toBe('TokenUpdate')
  })

  it('checks out there', async () => {
    await phone.checkOut()
    expect(saidTo(checkins, udid).at(-1)).toBe('CheckOut')
    expect((await main.api('GET', `/devices/${udid}`)).json()).toMatchObject({ enrollment: { state: 'unenrolled' } })
  })
})

describe('a phone of any other link', () => {
  it('is told one address', async () => {
    const profile = await downloadProfile(main, await main.link())
    expect([profile.checkInUrl, profile.roots.length]).toEqual([`${main.url}/mdm`, 1])
    expect((await main.api('GET', '/enrollments')).json<{ data: object[] }>().data[0]).toMatchObject({ checkin_url: null })
  })
})

describe('the check-in process', () => {
  let device: RawDevice
  beforeAll(async () => {
    device = await enrolledDevice(main, '00008130-0000000000000C11')
  })
  const put = (path: string, body: Buffer, contentType: string) =>
    checkins.http('PUT', path, { headers: { 'content-type': contentType, 'mdm-signature': signatureOf(body, device.identity) }, body })
  const message = (fields: object) => encodePlist({ UDID: '00008130-0000000000000C11', ...fields })

  it.each([
    ['PUT', '/mdm'], ['PUT', '/mdm/connect'], ['GET', '/mdm'], ['GET', '/scep?operation=GetCACaps'], ['POST', '/scep?operation=PKIOperation'],
    ['GET', '/enroll'], ['GET', '/e/some-token'], ['GET', '/e/some-token/profile'], ['GET', '/docs/errors/not-found'],
    ['GET', '/api/v1/me'], ['GET', '/api/v1/openapi.json'], ['POST', '/api/v1/setup'], ['PUT', '/v1/enqueue/x'], ['GET', '/v1/push/x'], ['GET', '/metrics'], ['GET', '/'],
  ])('has no door at %s %s, over TLS or without', async (method, path) => {
    expect((await checkins.http(method, path)).status).toBe(404)
    expect((await checkins.http(method, path, { base: checkins.httpUrl })).status).toBe(404)
  })

  it('says that it lives and can work', async () => {
    const answers = await Promise.all(['/healthz', '/readyz', '/version'].map((path) => checkins.http('GET', path)))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
  })

  it('takes check-in messages, declarative ones too, by PUT only', async () => {
    expect((await put('/mdm/checkin', message({ MessageType: 'TokenUpdate', Topic: TOPIC, Token: main.apns.register(TOPIC), PushMagic: 'magic' }), CHECKIN)).status).toBe(200)
    const tokens = await put('/mdm/checkin', message({ MessageType: 'DeclarativeManagement', Endpoint: 'tokens' }), CHECKIN)
    expect([tokens.status, Object.keys(tokens.json())]).toEqual([200, ['SyncTokens']])
    expect((await put('/checkin', message({ MessageType: 'DeclarativeManagement', Endpoint: 'tokens' }), CHECKIN)).status).toBe(200)
    const other = await checkins.http('POST', '/mdm/checkin')
    expect([other.status, other.headers['allow']]).toEqual([405, 'PUT'])
  })

  it('refuses a report: nothing is stored and nothing handed out', async () => {
    await main.api('POST', `/devices/${device.udid}/commands`, { type: 'ProfileList' })
    await still(main)
    const before = await dumpTables(main.db)
    for (const contentType of [REPORT, 'text/xml']) {
      const answer = await put('/mdm/checkin', message({ Status: 'Idle' }), contentType)
      expect([answer.status, answer.body.length]).toEqual([415, 0])
    }
    expect(await dumpTables(main.db)).toEqual(before)
  })

  it('takes no message without proof', () => refused(checkins, 'no_certificate', () => checkins.http('PUT', '/mdm/checkin', {
    headers: { 'content-type': CHECKIN }, body: message({ MessageType: 'CheckOut', Topic: TOPIC }),
  })))
})

describe('a check-in message at the process with all doors', () => {
  it('is taken all the same, on the ServerURL too', async () => {
    const device = await enrolledDevice(main, '00008130-0000000000000C12', { link: await separate() })
    expect((await device.idle())).toBeUndefined()
    expect(saidTo(checkins, device.udid)).toEqual([])
  })
})

describe('a check-in process that was started first', () => {
  it('prints no setup token, because it has no API to use it at', async () => {
    const settings = { BRAMLEY_DOORS: 'checkin', BRAMLEY_CHECKIN_URL: 'https://checkin.example.com', BRAMLEY_BOOTSTRAP_TOKEN_FILE: '' }
    const alone = await startBramley({ settings, pushCertificate: false })
    expect((await alone.http('GET', '/readyz')).status).toBe(200)
    expect(await alone.db.query('select 1 from setup_tokens')).toEqual([])
    await alone.stop()
  })
})

describe('the TLS certificate of a check-in process', () => {
  const settings = { BRAMLEY_DOORS: 'checkin', BRAMLEY_CHECKIN_URL: 'https://checkin.example.com' }
  const roots = () => main.db.query(`select value from settings where key = 'checkin_tls_root'`)

  it('made here is for its own host name', async () => {
    const own = await startBramley({ beside: main, settings: { ...settings, BRAMLEY_PUBLIC_URL: 'https://mdm.example.com' } })
    const names = await namesAt(own.url, own.ca)
    expect(names).toContain('DNS:checkin.example.com')
    expect(names).not.toContain('mdm.example.com')
    await own.stop()
  })

  it('asks for theirs, where devices prove themselves by it', async () => {
    const own = await startBramley({ beside: main, settings: { ...settings, BRAMLEY_DEVICE_AUTH: 'mtls' } })
    const { identity } = await obtainIdentity(main, await separate())
    const agent = new Agent({ ca: own.ca, cert: writeCertificatePem(identity.certificate.der), key: identity.key.export({ format: 'pem', type: 'pkcs8' }) })
    const body = encodePlist({ MessageType: 'Authenticate', Topic: TOPIC, UDID: '00008130-0000000000000C13', ProductName: 'iPhone15,2' })
    await refused(own, 'no_certificate', () => own.http('PUT', '/mdm/checkin', { headers: { 'content-type': CHECKIN }, body }))
    expect((await send(own.url, agent, 'PUT', '/mdm/checkin', { headers: { 'content-type': CHECKIN }, body })).status).toBe(200)
    agent.destroy()
    await own.stop()
  })

  it('may be the administrator’s, and then phones need no root for it', async () => {
    const root = certificateAuthority()
    const server = certify({ issuer: root, profile: 'server', names: [{ dns: 'checkin.example.com' }] })
    const [cert, key] = [join(main.dataFolder, 'checkin.pem'), join(main.dataFolder, 'checkin.key')]
    writeFileSync(cert, writeCertificatePem(server.certificate.der))
    writeFileSync(key, server.key.export({ format: 'pem', type: 'pkcs8' }))
    const ca = writeCertificatePem(root.certificate.der)
    const own = await startBramley({ beside: main, ca, settings: { ...settings, BRAMLEY_TLS: 'files', BRAMLEY_TLS_CERT: cert, BRAMLEY_TLS_KEY: key } })
    expect(await namesAt(own.url, ca)).toBe('DNS:checkin.example.com')
    expect((await downloadProfile(main, await separate())).roots).toHaveLength(1)
    await own.stop()
  })

  it('is not looked for in profiles where a proxy ends TLS', async () => {
    const before = await startBramley({ beside: main, settings })
    expect(await roots()).toHaveLength(1)
    await before.stop()
    const own = await startBramley({ beside: main, settings: { ...settings, BRAMLEY_TLS: 'off' } })
    expect(await roots()).toEqual([])
    expect((await downloadProfile(main, await separate())).roots).toHaveLength(1)
    await own.stop()
  })
})

/** The names in the certificate that a server shows to whoever asks for checkin.example.com. */
function namesAt(url: string, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port), servername: 'checkin.example.com', ca }, () => {
      resolve(socket.getPeerCertificate().subjectaltname ?? '')
      socket.destroy()
    }).once('error', reject)
  })
}
