import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { join } from 'node:path'
import { connect, type ConnectionOptions } from 'node:tls'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it, vi } from 'vitest'
import type { Signer } from '../src/apple/wire/cms-sign.ts'
import { encodePem, writeCertificatePem } from '../src/apple/wire/pem.ts'
import { encodePlist } from '../src/apple/wire/plist-writer.ts'
import { readTlsFiles, watchTlsFiles, type LiveTls } from '../src/tls-files.ts'
import { certificateAuthority, certify } from './support/attacks.ts'
import { send, startBramley, type TestServer } from './support/bramley.ts'
import { REPORT, downloadProfile, obtainIdentity } from './support/raw-device.ts'

const root = certificateAuthority()
const caPem = writeCertificatePem(root.certificate.der)
const pair = () => certify({ issuer: root, profile: 'server', names: [{ ip: '127.0.0.1' }] })
const keyPem = ({ key }: Signer) => key.export({ format: 'pem', type: 'pkcs8' }).toString()
const fingerprintOf = ({ certificate }: Signer) => new X509Certificate(certificate.der).fingerprint256

let folder: string
let files: { cert: string; key: string }
beforeAll(() => {
  folder = mkdtempSync(join(inject('runFolder'), 'tls-'))
  files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function place(signer: Signer, key = keyPem(signer)): Signer {
  writeFileSync(files.cert, writeCertificatePem(signer.certificate.der) + caPem)
  writeFileSync(files.key, key)
  return signer
}

describe('readTlsFiles', () => {
  it('reads a certificate with its chain and its key', () => {
    const one = place(pair())
    expect(readTlsFiles(files)).toMatchObject({ fingerprint: fingerprintOf(one), rootDer: undefined })
  })

  it('says which file cannot be used', () => {
    const one = pair()
    place(one, keyPem(pair()))
    expect(() => readTlsFiles(files)).toThrow(new Error(`BRAMLEY_TLS_KEY: ${files.key} is not the key of the first certificate in ${files.cert}`))
    place(one, one.key.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' }).toString())
    expect(() => readTlsFiles(files)).toThrow(new Error(`BRAMLEY_TLS_KEY: ${files.key} holds no private key in PEM without a passphrase`))
    writeFileSync(files.cert, encodePem('CERTIFICATE', Buffer.from('x')))
    expect(() => readTlsFiles(files)).toThrow(new Error(`BRAMLEY_TLS_CERT: ${files.cert} holds no PEM certificate`))
    expect(() => readTlsFiles({ ...files, key: '/nothing.pem' })).toThrow(new Error('BRAMLEY_TLS_KEY: cannot read /nothing.pem'))
  })
})

describe('watchTlsFiles', () => {
  let live: LiveTls
  let told: string[]
  let logged: Record<string, unknown>[]
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    place(pair())
    told = []
    logged = []
    live = watchTlsFiles(files, pino({}, { write: (line: string) => void logged.push(JSON.parse(line)) }))
    live.follow((tls) => void told.push(tls.fingerprint))
  })
  afterEach(() => {
    live.stop()
    vi.useRealTimers()
  })

  it('looks every 10 seconds, and tells of a changed pair once', () => {
    vi.advanceTimersByTime(30_000)
    expect(told).toEqual([])
    const next = place(pair())
    vi.advanceTimersByTime(9_000)
    expect(told).toEqual([])
    vi.advanceTimersByTime(31_000)
    expect(told).toEqual([fingerprintOf(next)])
    expect(live.current.fingerprint).toBe(fingerprintOf(next))
  })

  it('sees a change that keeps the size', () => {
    utimesSync(files.key, new Date(), new Date(Date.now() + 60_000))
    vi.advanceTimersByTime(10_000)
    expect(told).toEqual([live.current.fingerprint])
  })

  it('keeps the old pair while the new one is half there, logs that once, and takes it when it is whole', () => {
    const before = live.current.fingerprint
    const next = pair()
    writeFileSync(files.cert, writeCertificatePem(next.certificate.der))
    vi.advanceTimersByTime(40_000)
    expect([live.current.fingerprint, told, logged.length]).toEqual([before, [], 1])
    expect(logged[0]).toMatchObject({ level: 50, reason: expect.stringContaining('BRAMLEY_TLS_KEY') })
    writeFileSync(files.key, keyPem(next))
    vi.advanceTimersByTime(10_000)
    expect(told).toEqual([fingerprintOf(next)])
  })

  it('reads at once on SIGHUP, and no more after the end', () => {
    const next = place(pair())
    process.emit('SIGHUP', 'SIGHUP')
    expect(told).toEqual([fingerprintOf(next)])
    live.stop()
    place(pair())
    process.emit('SIGHUP', 'SIGHUP')
    vi.advanceTimersByTime(20_000)
    expect(told).toHaveLength(1)
  })
})

describe('BRAMLEY_TLS=files', () => {
  let server: TestServer
  let first: Signer
  beforeAll(async () => {
    first = place(pair())
    server = await startBramley({ ca: caPem, settings: { BRAMLEY_TLS: 'files', BRAMLEY_TLS_CERT: files.cert, BRAMLEY_TLS_KEY: files.key, BRAMLEY_DEVICE_AUTH: 'mtls' } })
  })
  afterAll(() => server.stop())

  it('shows the certificate, and tells phones of no root', async () => {
    expect(await shown(server)).toBe(fingerprintOf(first))
    const profile = await downloadProfile(server, await server.link())
    expect(profile.roots).toEqual([])
  })

  it('shows the renewed one to whoever comes next, still asks for client certificates, and lets old connections be', async () => {
    const agent = new Agent({ ca: caPem, keepAlive: true, maxSockets: 1 })
    expect((await send(server.url, agent, 'GET', '/healthz', {})).status).toBe(200)
    const next = place(pair())
    process.emit('SIGHUP', 'SIGHUP')
    expect(await shown(server)).toBe(fingerprintOf(next))
    expect((await send(server.url, agent, 'GET', '/healthz', {})).status).toBe(200)
    agent.destroy()
    const { identity } = await obtainIdentity(server, await server.link())
    expect(await reasonOfPoll(server, identity)).toBe('not_enrolled')
  })

  it('62: speaks nothing older than TLS 1.2', async () => {
    await expect(greeting({ maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' })).rejects.toThrow(/protocol version/)
    expect(await greeting({ maxVersion: 'TLSv1.2' })).toBe('TLSv1.2')
  })

  it('62: ends a connection that wants to renegotiate', async () => {
    const socket = connect({ ...address(), maxVersion: 'TLSv1.2' })
    await once(socket, 'secureConnect')
    socket.on('error', () => undefined)
    const closed = once(socket, 'close').then(() => 'ended')
    const renegotiated = new Promise((resolve) => socket.renegotiate({}, (error) => resolve(error === null ? 'renegotiated' : 'ended')))
    const outcome = await Promise.race([closed, renegotiated])
    socket.destroy()
    expect(outcome).toBe('ended')
  })

  const address = () => ({ port: Number(new URL(server.url).port), host: '127.0.0.1', ca: caPem })
  /** The version that both sides agree on. */
  async function greeting(o: ConnectionOptions): Promise<string | null> {
    const socket = connect({ ...address(), ...o })
    await once(socket, 'secureConnect')
    const version = socket.getProtocol()
    socket.destroy()
    return version
  }

  it('does not start with a key of another certificate', async () => {
    place(pair(), keyPem(pair()))
    await expect(startBramley({ beside: server, settings: { BRAMLEY_TLS: 'files', BRAMLEY_TLS_CERT: files.cert, BRAMLEY_TLS_KEY: files.key } }))
      .rejects.toThrow(/^BRAMLEY_TLS_KEY: .* is not the key of the first certificate/)
  })
})

/** The certificate that a new connection gets to see. */
function shown(server: TestServer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: Number(new URL(server.url).port), host: '127.0.0.1', ca: caPem }, () => {
      resolve(socket.getPeerCertificate().fingerprint256)
      socket.destroy()
    })
    socket.once('error', reject)
  })
}

/** What the device door says of a poll that shows this identity in the handshake. */
async function reasonOfPoll(server: TestServer, identity: Signer): Promise<unknown> {
  const agent = new Agent({ ca: caPem, cert: writeCertificatePem(identity.certificate.der), key: keyPem(identity) })
  const body = encodePlist({ Status: 'Idle', UDID: '00008120-00000000000A' })
  const answer = await send(server.url, agent, 'PUT', '/mdm', { headers: { 'content-type': REPORT }, body })
  agent.destroy()
  expect(answer.status).toBe(400)
  return server.logs.findLast((line) => line['msg'] === 'device_refused')?.['reason']
}
