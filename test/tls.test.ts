import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { selfSignedTls, type SelfSignedTls, type ServerTls } from '../src/tls.ts'
import { race } from './support/race.ts'

const DAY = 86_400_000
const HOST = 'mdm.example.com'
const today = new Date()
const later = (days: number) => new Date(today.getTime() + days * DAY)

let data: string
let folder: string
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'bramley-tls-'))
  folder = join(data, 'tls')
})
afterEach(() => rmSync(data, { recursive: true }))

const make = (host = HOST, now = today) => selfSignedTls(data, host, now)
const certificateOf = (tls: Pick<ServerTls, 'cert'>) => new X509Certificate(tls.cert)
const fits = (tls: Pick<ServerTls, 'cert' | 'key'>) => certificateOf(tls).checkPrivateKey(createPrivateKey(tls.key))
const openssl = (...args: string[]) => execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

describe('at the first start', () => {
  it('a root and a server certificate are made, whose keys only the owner may read', () => {
    const tls = make()
    expect(readFileSync(join(folder, 'ca.pem'), 'utf8')).toBe(tls.rootPem)
    expect(new X509Certificate(tls.rootPem).raw).toEqual(tls.rootDer)
    expect([certificateOf(tls).fingerprint256, fits(tls)]).toEqual([tls.fingerprint, true])
    expect([tls.cert, tls.key].map((text) => text.match(/BEGIN [A-Z ]+/g))).toEqual([['BEGIN CERTIFICATE'], ['BEGIN PRIVATE KEY']])
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    const secret = readdirSync(folder).filter((name) => readFileSync(join(folder, name), 'utf8').includes('PRIVATE KEY'))
    expect(secret.map((name) => statSync(join(folder, name)).mode & 0o777)).toEqual(secret.map(() => 0o600))
    expect(secret).toContain('ca.key')
    expect(readdirSync(data)).toEqual(['tls'])
  })

  it('each server has a root of its own', () => {
    const one = make()
    rmSync(folder, { recursive: true })
    expect(make().rootPem).not.toBe(one.rootPem)
  })

  it('the certificate is one that phones take: at most 398 days, alive now, for the host and for this machine', () => {
    const certificate = certificateOf(make())
    const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)]
    expect([from < today.getTime(), to > later(365).getTime(), to - from <= 398 * DAY]).toEqual([true, true, true])
    expect(certificate.subjectAltName).toBe(`DNS:${HOST}, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1`)
    expect(certificate.ca).toBe(false)
  })

  it.each([
    ['localhost', 'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1'],
    ['127.0.0.1', 'IP Address:127.0.0.1, DNS:localhost, IP Address:0:0:0:0:0:0:0:1'],
    ['[::1]', 'IP Address:0:0:0:0:0:0:0:1, DNS:localhost, IP Address:127.0.0.1'],
    ['192.0.2.1', 'IP Address:192.0.2.1, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1'],
    ['[fd00::2]', 'IP Address:FD00:0:0:0:0:0:0:2, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1'],
  ])('the certificate for %s names nothing twice', (host, names) => {
    expect(certificateOf(make(host)).subjectAltName).toBe(names)
  })

  it('openssl verifies it, for each of its names', () => {
    const long = `${'a'.repeat(60)}.${'b'.repeat(60)}.example.com`
    for (const host of [HOST, long]) {
      const file = join(data, 'cert.pem')
      writeFileSync(file, make(host).cert)
      for (const name of [['-verify_hostname', host], ['-verify_hostname', 'localhost'], ['-verify_ip', '127.0.0.1'], ['-verify_ip', '::1']]) {
        expect(openssl('verify', '-x509_strict', '-purpose', 'sslserver', ...name, '-CAfile', join(folder, 'ca.pem'), file)).toContain(': OK')
      }
      expect(() => openssl('verify', '-verify_hostname', 'other.example.com', '-CAfile', join(folder, 'ca.pem'), file)).toThrow('hostname mismatch')
    }
  })

  it('an HTTPS listener works with it for whoever trusts the root, and for nobody else', async () => {
    const tls = make()
    const server = createServer({ cert: tls.cert, key: tls.key }, (_request, response) => response.end('hello'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const ask = (ca: string | undefined, servername: string) => new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port, servername, ...(ca && { ca }), agent: false }, (response) => resolve(response.resume().statusCode)).on('error', reject).end()
    })
    expect(await Promise.all([ask(tls.rootPem, HOST), ask(tls.rootPem, 'localhost')])).toEqual([200, 200])
    await expect(ask(undefined, HOST)).rejects.toMatchObject({ code: expect.stringMatching(/SELF_SIGNED|UNABLE_TO/) })
    await expect(ask(tls.rootPem, 'other.example.com')).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
    await new Promise((resolve) => server.close(resolve))
  })
})

describe('at a later start', () => {
  it('both stay as they are', () => {
    const first = make()
    expect(make()).toEqual(first)
    expect(make(HOST, later(366))).toEqual(first)
  })

  it('the server certificate is made anew within its last 30 days, and the root stays', () => {
    const first = make()
    const next = make(HOST, later(368))
    expect([next.rootPem, next.fingerprint === first.fingerprint, fits(next)]).toEqual([first.rootPem, false, true])
    expect(Date.parse(certificateOf(next).validTo)).toBeGreaterThan(later(368 + 365).getTime())
    expect(certificateOf(next).verify(new X509Certificate(first.rootPem).publicKey)).toBe(true)
  })

  it('the server certificate is made anew for another host, and the root stays', () => {
    const first = make()
    for (const host of ['other.example.com', '192.0.2.1', 'example.com']) {
      const next = make(host)
      expect([next.rootPem, certificateOf(next).subjectAltName?.includes(`:${host},`), fits(next)]).toEqual([first.rootPem, true, true])
      expect(make(host)).toEqual(next)
    }
  })

  it('a server certificate that was damaged, or is of another root, is made anew', () => {
    const first = make()
    truncateSync(join(folder, 'server.pem'), 40)
    const repaired = make()
    expect([repaired.rootPem, fits(repaired)]).toEqual([first.rootPem, true])
    const old = readFileSync(join(folder, 'server.pem'))
    rmSync(folder, { recursive: true })
    const other = make()
    writeFileSync(join(folder, 'server.pem'), old)
    expect(certificateOf(make()).verify(new X509Certificate(other.rootPem).publicKey)).toBe(true)
  })

  it('a root that cannot be read stops the start: what trusts it must go on trusting', () => {
    make()
    writeFileSync(join(folder, 'ca.key'), 'nothing')
    expect(() => make()).toThrow()
    expect(readFileSync(join(folder, 'ca.key'), 'utf8')).toBe('nothing')
  })
})

describe('processes that start at the same moment', () => {
  const all = (host: string) => race<SelfSignedTls>(6, 'tls.js', `m.selfSignedTls(${JSON.stringify(data)}, ${JSON.stringify(host)}, new Date(${today.getTime()}))`)

  it('agree on the root and on the server certificate', async () => {
    const made = await all(HOST)
    expect(new Set(made.map(({ rootPem }) => rootPem)).size).toBe(1)
    expect(new Set(made.map(({ fingerprint }) => fingerprint)).size).toBe(1)
    expect(made.map(fits)).toEqual(made.map(() => true))
    expect(readdirSync(data)).toEqual(['tls'])
  })

  it('each have a key that fits their certificate when it is made anew', async () => {
    const { rootPem } = make()
    const made = await all('other.example.com')
    expect(made.map((one) => [one.rootPem, fits(one)])).toEqual(made.map(() => [rootPem, true]))
    expect(fits(make('other.example.com'))).toBe(true)
    expect(readdirSync(folder).toSorted()).toEqual(['ca.key', 'ca.pem', 'server.pem'])
  })
})
