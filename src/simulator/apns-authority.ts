import { createHash, createPrivateKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { decodePem, writeCertificatePem } from '../apple/wire/pem.ts'
import { distinguishedName, readCertificate, type Certificate } from '../apple/wire/x509.ts'
import { issueCertificate, type CertificateRequest } from '../apple/wire/x509-issue.ts'

/** A certificate and its private key, both PEM. */
export interface CertifiedKey {
  certificatePem: string
  keyPem: string
}

/** Plays the part of Apple's certificate authorities, for a stand-in. */
export interface ApnsAuthority {
  caPem: string
  /** Proof for device tokens. It comes with the CA, so both live and die together. */
  tokenSecret: Buffer
  issueServerCertificate(host: string): CertifiedKey
  /** As Apple's push certificates are: RSA 2048, a year (or `days`, for a test), CN `APSP:<topic>`, UID the topic. */
  issuePushCertificate: (topic: string, days?: number) => CertifiedKey
}

interface Ca {
  certificate: Certificate
  key: KeyObject
}

const DAY_MS = 86_400_000
const FILE = 'apns-stand-in-ca.pem'

/** Opens the authority kept in `folder`, or makes one; without a folder, one that lives as long as the process. */
export async function openAuthority(now: () => Date, folder?: string): Promise<ApnsAuthority> {
  const pem = folder === undefined ? makeCa(now()) : await readOrMakeCa(folder, now())
  const ca: Ca = { certificate: certificateIn(pem), key: createPrivateKey(pem) }
  return {
    caPem: writeCertificatePem(ca.certificate.der),
    tokenSecret: createHash('sha256').update('device tokens').update(exportKey(ca.key)).digest(),
    issueServerCertificate(host) {
      const names = [{ dns: 'localhost' }, { ip: '127.0.0.1' }, isIP(host) ? { ip: host } : { dns: host }]
      return certify(ca, generateKeyPairSync('ec', { namedCurve: 'P-256' }), {
        subject: distinguishedName([['CN', 'localhost']]),
        subjectAltNames: names,
        profile: 'server',
        ...validity(now(), 365 * 5),
      })
    },
    issuePushCertificate: (topic, days = 365) =>
      certify(ca, generateKeyPairSync('rsa', { modulusLength: 2048 }), {
        subject: distinguishedName([['UID', topic], ['CN', `APSP:${topic}`]]),
        profile: 'client',
        ...validity(now(), days),
      }),
  }
}

// A file appears whole or not at all, and the first of two processes wins: link never replaces.
async function readOrMakeCa(folder: string, now: Date): Promise<string> {
  const path = join(folder, FILE)
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const kept = await readFile(path, 'utf8').catch(unlessCode('ENOENT'))
  if (kept !== undefined) return kept
  await writeFile(draft, makeCa(now), { mode: 0o600, flag: 'wx' })
  await link(draft, path).catch(unlessCode('EEXIST'))
  await rm(draft)
  return readFile(path, 'utf8')
}

function certificateIn(pem: string): Certificate {
  const block = decodePem(pem).find(({ label }) => label === 'CERTIFICATE')
  if (!block) throw new Error(`no certificate in ${FILE}`)
  return readCertificate(block.der)
}

function unlessCode(code: string): (error: unknown) => undefined {
  return (error) => {
    if (!(error instanceof Error && 'code' in error && error.code === code)) throw error
    return undefined
  }
}

function makeCa(now: Date): string {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const der = issueCertificate({
    subject: distinguishedName([['CN', 'Bramley APNs stand-in CA']]),
    spki: publicKey.export({ format: 'der', type: 'spki' }),
    serialNumber: randomBytes(16),
    issuer: { selfSigned: privateKey },
    profile: 'ca',
    ...validity(now, 365 * 10),
  })
  return exportKey(privateKey) + writeCertificatePem(der)
}

type Wanted = Omit<CertificateRequest, 'spki' | 'serialNumber' | 'issuer'>

function certify(ca: Ca, pair: { privateKey: KeyObject; publicKey: KeyObject }, wanted: Wanted): CertifiedKey {
  const der = issueCertificate({
    ...wanted,
    spki: pair.publicKey.export({ format: 'der', type: 'spki' }),
    serialNumber: randomBytes(16),
    issuer: ca,
  })
  return { certificatePem: writeCertificatePem(der), keyPem: exportKey(pair.privateKey) }
}

function validity(now: Date, days: number) {
  return { notBefore: new Date(now.getTime() - DAY_MS), notAfter: new Date(now.getTime() + days * DAY_MS) }
}

const exportKey = (key: KeyObject) => key.export({ format: 'pem', type: 'pkcs8' }).toString()
