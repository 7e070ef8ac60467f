import { X509Certificate, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto'
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

/** With the root that phones and scripts must trust; also in `BRAMLEY_DATA/tls/ca.pem`. */
export interface SelfSignedTls extends ServerTls {
  rootPem: string
  rootDer: Buffer
}

interface Root {
  certificate: Certificate
  key: KeyObject
}

const DAY = 86_400_000

/**
 * TLS mode `self`: a root and a server certificate of our own under `<data>/tls`, made at the first start and renewed when
 * they end within 30 days or the host name changed. The root stays, so that what trusts it goes on trusting.
 */
export function selfSignedTls(dataFolder: string, host: string, now: Date): SelfSignedTls {
  const folder = join(dataFolder, 'tls')
  mkdirSync(dataFolder, { recursive: true, mode: 0o700 })
  if (!existsSync(join(folder, 'ca.key'))) {
    placeOnce(folder, (aside) => {
      writeRoot(aside, now)
      writeServer(aside, readRoot(aside), host, now)
    })
  }
  const root = readRoot(folder)
  const pem = readServer(folder, root, host, now) ?? writeServer(folder, root, host, now)
  const cert = pem.slice(pem.indexOf('-----BEGIN CERTIFICATE-----'))
  return {
    cert,
    key: pem.slice(0, -cert.length),
    rootPem: readFileSync(join(folder, 'ca.pem'), 'utf8'),
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
  writeFileSync(join(folder, 'ca.key'), privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600, flush: true })
  writeFileSync(join(folder, 'ca.pem'), encodePem('CERTIFICATE', der), { flush: true })
}

function readRoot(folder: string): Root {
  const certificate = readCertificate(new X509Certificate(readFileSync(join(folder, 'ca.pem'))).raw)
  return { certificate, key: createPrivateKey(readFileSync(join(folder, 'ca.key'))) }
}

/** Key and certificate in one file, renamed into place: a crash or another process never leaves a key that does not fit. */
function writeServer(folder: string, root: Root, host: string, now: Date): string {
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
  const pem = `${privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()}${encodePem('CERTIFICATE', der)}`
  const aside = join(folder, `server.pem.${process.pid}.${randomBytes(4).toString('hex')}`)
  writeFileSync(aside, pem, { mode: 0o600, flush: true })
  renameSync(aside, join(folder, 'server.pem'))
  return pem
}

function namesOf(host: string) {
  const bare = host.replace(/^\[|\]$/g, '')
  const own = isIP(bare) ? { ip: bare } : { dns: bare }
  const local = [{ dns: 'localhost' }, { ip: '127.0.0.1' }, { ip: '::1' }]
  return [own, ...local.filter((name) => JSON.stringify(name) !== JSON.stringify(own))]
}

/** The server certificate with its key when it still serves: for this host, of this root, for more than 30 days. */
function readServer(folder: string, root: Root, host: string, now: Date): string | undefined {
  const file = join(folder, 'server.pem')
  if (!existsSync(file)) return undefined
  const pem = readFileSync(file, 'utf8')
  try {
    const certificate = new X509Certificate(pem)
    const bare = host.replace(/^\[|\]$/g, '')
    const named = (isIP(bare) ? certificate.checkIP(bare) : certificate.checkHost(bare)) !== undefined
    const ours = certificate.verify(createPublicKey(root.key)) && certificate.checkPrivateKey(createPrivateKey(pem))
    return named && ours && Date.parse(certificate.validTo) - now.getTime() > 30 * DAY ? pem : undefined
  } catch {
    return undefined // damaged; nothing depends on it, a new one serves as well
  }
}
