import { X509Certificate, createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isIP } from 'node:net'
import { encodePem } from './apple/wire/pem.ts'
import { issueCertificate } from './apple/wire/x509-issue.ts'
import { distinguishedName } from './apple/wire/x509-name.ts'
import { readCertificate, type Certificate } from './apple/wire/x509.ts'

/** What an HTTPS listener needs. */
export interface ServerTls {
  cert: string
  key: string
  /** The root of our own that phones must be told to trust, of mode `self` only; it lies in `BRAMLEY_DATA/tls/ca.pem`. */
  rootDer: Buffer | undefined
  /** SHA-256 of the server certificate, `4F:9A:…`, for people to compare. */
  fingerprint: string
}

const DAY = 86_400_000

/**
 * TLS mode `self`: a root and a server certificate of our own under `<data>/tls`, made at the first start and renewed when
 * they end within 30 days or the host name changed. The root stays, so that what trusts it goes on trusting.
 */
export function selfSignedTls(dataFolder: string, host: string, now: Date): ServerTls {
  const folder = join(dataFolder, 'tls')
  mkdirSync(dataFolder, { recursive: true, mode: 0o700 })
  if (!existsSync(join(folder, 'ca.key'))) placeOnce(folder, (aside) => writeRoot(aside, now))
  const rootPem = readFileSync(join(folder, 'ca.pem'), 'utf8')
  const root = { certificate: readCertificate(new X509Certificate(rootPem).raw), key: createPrivateKey(readFileSync(join(folder, 'ca.key'))) }
  if (!stillGood(folder, host, now)) writeServer(folder, root, host, now)
  const cert = readFileSync(join(folder, 'server.pem'), 'utf8')
  return {
    cert,
    key: readFileSync(join(folder, 'server.key'), 'utf8'),
    rootDer: root.certificate.der,
    fingerprint: new X509Certificate(cert).fingerprint256,
  }
}

/** Filled aside and renamed into place: of two processes starting at once, one folder stands. */
function placeOnce(folder: string, fill: (aside: string) => void): void {
  const aside = `${folder}.${process.pid}.${randomBytes(4).toString('hex')}`
  mkdirSync(aside, { mode: 0o700 })
  fill(aside)
  try {
    renameSync(aside, folder)
  } catch (error) {
    rmSync(aside, { recursive: true, force: true })
    if (!existsSync(join(folder, 'ca.key'))) throw error
  }
}

function writeRoot(folder: string, now: Date): void {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const der = issueCertificate({
    subject: distinguishedName([['CN', `Bramley TLS root ${randomBytes(3).toString('hex')}`]]),
    spki: publicKey.export({ format: 'der', type: 'spki' }),
    serialNumber: randomBytes(16),
    notBefore: new Date(now.getTime() - DAY),
    notAfter: new Date(now.getTime() + 3_650 * DAY),
    issuer: { selfSigned: privateKey },
    profile: 'ca',
  })
  writeFileSync(join(folder, 'ca.key'), privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
  writeFileSync(join(folder, 'ca.pem'), encodePem('CERTIFICATE', der))
}

function writeServer(folder: string, root: { certificate: Certificate; key: ReturnType<typeof createPrivateKey> }, host: string, now: Date): void {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const der = issueCertificate({
    subject: distinguishedName([['CN', host]]),
    spki: publicKey.export({ format: 'der', type: 'spki' }),
    serialNumber: randomBytes(16),
    notBefore: new Date(now.getTime() - DAY),
    // Apple accepts no TLS certificate that is valid for more than 825 days, not even of a private root.
    notAfter: new Date(now.getTime() + 397 * DAY),
    issuer: root,
    profile: 'server',
    subjectAltNames: namesOf(host),
  })
  writeFileSync(join(folder, 'server.key'), privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
  writeFileSync(join(folder, 'server.pem'), encodePem('CERTIFICATE', der))
}

function namesOf(host: string) {
  const bare = host.replace(/^\[|\]$/g, '')
  const own = isIP(bare) ? { ip: bare } : { dns: bare }
  const local = [{ dns: 'localhost' }, { ip: '127.0.0.1' }, { ip: '::1' }]
  return [own, ...local.filter((name) => JSON.stringify(name) !== JSON.stringify(own))]
}

function stillGood(folder: string, host: string, now: Date): boolean {
  if (!existsSync(join(folder, 'server.pem')) || !existsSync(join(folder, 'server.key'))) return false
  const certificate = new X509Certificate(readFileSync(join(folder, 'server.pem')))
  const bare = host.replace(/^\[|\]$/g, '')
  const names = isIP(bare) ? certificate.checkIP(bare) : certificate.checkHost(bare)
  return names !== undefined && Date.parse(certificate.validTo) - now.getTime() > 30 * DAY
}
