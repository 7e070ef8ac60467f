import { createPublicKey, generateKeyPair, hash, randomBytes, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import type { Signer } from '../apple/wire/cms-sign.ts'
import { createCsr } from '../apple/wire/csr.ts'
import { WireError } from '../apple/wire/error.ts'
import type { EnrollmentProfile } from '../apple/wire/mobileconfig.ts'
import { pkcsReq, readCertRep } from '../apple/wire/scep-client.ts'
import { readSignedData } from '../apple/wire/signed-data.ts'
import { issueCertificate } from '../apple/wire/x509-issue.ts'
import { distinguishedName, isSignedBy, KEY_USAGE, readCertificate, type Certificate } from '../apple/wire/x509.ts'
import { EnrollmentRefused } from './enrollment-refused.ts'
import type { HttpAnswer, HttpRequest } from './https-client.ts'

/** Sends one request, as often as the device's patience allows. */
export type Deliver = (request: HttpRequest) => Promise<HttpAnswer>
type Scep = EnrollmentProfile['scep']

/** A new RSA key, made on another thread. */
export async function makeKey(bits: number): Promise<KeyObject> {
  return (await promisify(generateKeyPair)('rsa', { modulusLength: bits })).privateKey
}

/** A first identity by SCEP, paid for with the profile's challenge (RFC 8894, PKCSReq). Throws EnrollmentRefused. */
export async function obtainIdentity(deliver: Deliver, scep: Scep, key: KeyObject, now: Date): Promise<Signer> {
  const subject = subjectOf(scep)
  const csr = createCsr({ subject, key, challengePassword: scep.challenge })
  return requestIdentity(deliver, scep, { csr, key, signer: selfSigned(subject, key, now), messageType: '19' })
}

/** A new identity with a new key, asked for with the old one (RFC 8894, RenewalReq). Throws EnrollmentRefused. */
export async function renewIdentity(deliver: Deliver, scep: Scep, key: KeyObject, current: Signer): Promise<Signer> {
  const csr = createCsr({ subject: subjectOf(scep), key })
  return requestIdentity(deliver, scep, { csr, key, signer: current, messageType: '17' })
}

interface Wanted {
  csr: Buffer
  key: KeyObject
  signer: Signer
  messageType: '19' | '17'
}

async function requestIdentity(deliver: Deliver, scep: Scep, wanted: Wanted): Promise<Signer> {
  const { csr, key, signer, messageType } = wanted
  const { recipient, authorities } = await askCertificates(deliver, scep)
  const [transactionId, senderNonce] = [randomBytes(16).toString('hex').toUpperCase(), randomBytes(16)]
  const body = pkcsReq({ csr, signer, recipient, messageType, transactionId, senderNonce })
  const headers = { 'content-type': 'application/x-pki-message' }
  const answer = await ask(deliver, { method: 'POST', url: operation(scep, 'PKIOperation'), headers, body })
  const rep = readCertRep(answer, signer)
  const ours = rep.transactionId === transactionId && rep.recipientNonce.equals(senderNonce)
  const fromThem = authorities.some(({ der }) => der.equals(rep.signer.der))
  if (!ours || !fromThem) throw refused('the answer is not for this request')
  if (!rep.certificate) throw refused(`${rep.status}, failInfo ${rep.failInfo ?? 'none'}`)
  const { certificate } = rep
  if (!certificate.spki.equals(spkiOf(key))) throw refused('the certificate is for another key')
  if (!authorities.some((authority) => isSignedBy(certificate, authority))) throw refused('it is from another CA')
  return { certificate, key }
}

/** Asks what the server can do and who it is, and compares the latter with the profile's fingerprint. */
async function askCertificates(deliver: Deliver, scep: Scep) {
  const capabilities = (await ask(deliver, { method: 'GET', url: operation(scep, 'GetCACaps') })).toString()
  if (!/^(POSTPKIOperation|SCEPStandard)\s*$/m.test(capabilities)) throw refused('the server does not take POST')
  const answer = await ask(deliver, { method: 'GET', url: operation(scep, 'GetCACert') })
  const authorities = certificatesIn(answer)
  const { caFingerprint: wanted } = scep
  if (wanted && !authorities.some((authority) => hasFingerprint(authority, wanted))) {
    throw refused('the CA is not the one that the profile names')
  }
  const open = authorities.filter(mayDecrypt)
  const recipient = open.find((candidate) => !candidate.isCa) ?? open[0]
  if (!recipient) throw refused('no certificate to encrypt to')
  return { recipient, authorities }
}

/** One certificate as it is, several in a CMS without signatures. */
function certificatesIn(answer: Buffer): Certificate[] {
  try {
    return [readCertificate(answer)]
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    return readSignedData(answer).certificates.map((der) => readCertificate(der))
  }
}

function mayDecrypt({ publicKey, keyUsage = KEY_USAGE.keyEncipherment }: Certificate): boolean {
  return publicKey.asymmetricKeyType === 'rsa' && (keyUsage & KEY_USAGE.keyEncipherment) !== 0
}

// Apple compares SHA-1 or MD5, on current systems SHA-256 too; the length tells which.
function hasFingerprint({ der }: Certificate, wanted: Buffer): boolean {
  return ['sha256', 'sha1', 'md5'].some((algorithm) => hash(algorithm, der, 'buffer').equals(wanted))
}

async function ask(deliver: Deliver, request: HttpRequest): Promise<Buffer> {
  const { status, body } = await deliver(request)
  if (status !== 200) throw new EnrollmentRefused('scep', status)
  return body
}

function operation(scep: Scep, name: string): string {
  const url = new URL(scep.url)
  url.searchParams.set('operation', name)
  if (name !== 'PKIOperation' && scep.name !== '') url.searchParams.set('message', scep.name)
  return url.href
}

function subjectOf({ subject }: Scep): Buffer {
  return distinguishedName(subject.length > 0 ? subject : [['CN', 'Apple device']])
}

/** RFC 8894 2.3: without an identity the request is signed by a certificate of the new key itself. */
function selfSigned(subject: Buffer, key: KeyObject, now: Date): Signer {
  const hour = 3_600_000
  const der = issueCertificate({
    subject,
    spki: spkiOf(key),
    serialNumber: randomBytes(16),
    notBefore: new Date(now.getTime() - hour),
    notAfter: new Date(now.getTime() + 24 * hour),
    issuer: { selfSigned: key },
    profile: 'device',
  })
  return { certificate: readCertificate(der), key }
}

function spkiOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ format: 'der', type: 'spki' })
}

function refused(why: string): EnrollmentRefused {
  return new EnrollmentRefused('scep', undefined, why)
}
