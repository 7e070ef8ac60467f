import { createPublicKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto'
import { verifyAttached } from '../../src/apple/wire/cms.ts'
import { signDetached, signDetachedLikeIos, type Signer } from '../../src/apple/wire/cms-sign.ts'
import { createCsr } from '../../src/apple/wire/csr.ts'
import { readEnrollmentProfile, type EnrollmentProfile } from '../../src/apple/wire/mobileconfig.ts'
import { encodePlist, type EncodableDict } from '../../src/apple/wire/plist-writer.ts'
import { decodePlist, plistDict, type PlistDict } from '../../src/apple/wire/plist.ts'
import { pkcsReq, readCertRep, type CertRep } from '../../src/apple/wire/scep-client.ts'
import { readSignedData } from '../../src/apple/wire/signed-data.ts'
import { issueCertificate } from '../../src/apple/wire/x509-issue.ts'
import { distinguishedName } from '../../src/apple/wire/x509-name.ts'
import { readCertificate, type Certificate } from '../../src/apple/wire/x509.ts'
import { TOPIC, type Answer, type TestServer } from './bramley.ts'

export const CHECKIN = 'application/x-apple-aspen-mdm-checkin'
export const REPORT = 'application/x-apple-aspen-mdm; charset=UTF-8'

/** A device under the microscope: every byte it sends is the test's choice. */
export interface RawDevice {
  udid: string
  identity: Signer
  put(body: Buffer, contentType?: string, headers?: Record<string, string | string[]>): Promise<Answer>
  checkin(message: EncodableDict): Promise<Answer>
  report(message: EncodableDict): Promise<Answer>
  authenticate(extra?: EncodableDict): Promise<Answer>
  tokenUpdate(extra?: EncodableDict): Promise<Answer>
  /** The command in an answer, or undefined. */
  idle(): Promise<PlistDict | undefined>
  acknowledge(command: PlistDict, fields?: EncodableDict): Promise<PlistDict | undefined>
}

/** The CommandUUID of a command that came from the server. */
export function uuidOf(command: PlistDict): string {
  const uuid = command['CommandUUID']
  if (typeof uuid !== 'string') throw new Error('a command without CommandUUID')
  return uuid
}

/** RSA keys are slow to make and say nothing: one pair serves all devices of a run, unless a test is about keys. */
const shared = generateKeyPairSync('rsa', { modulusLength: 2048 })

/** The signature header of a body, in the shape real iPhones send. */
export function signatureOf(body: Buffer, identity: Signer): string {
  return signDetachedLikeIos(body, identity).toString('base64')
}

/** The same as other clients send it: DER, SHA-256, signed attributes. */
export function derSignatureOf(body: Buffer, identity: Signer): string {
  return signDetached(body, identity).toString('base64')
}

/** Sends a message with the proof of an identity. */
export type Prove = (server: TestServer, identity: Signer, body: Buffer, contentType: string, headers: Record<string, string | string[]>) => Promise<Answer>

const bySignature: Prove = (server, identity, body, contentType, headers) => server.http('PUT', '/mdm', {
  headers: { 'content-type': contentType, 'mdm-signature': signatureOf(body, identity), ...headers }, body,
})

/** A device with this identity; nothing is sent yet. */
export function rawDevice(server: TestServer, udid: string, identity: Signer, prove: Prove = bySignature): RawDevice {
  const put: RawDevice['put'] = (body, contentType = REPORT, headers = {}) => prove(server, identity, body, contentType, headers)
  const checkin: RawDevice['checkin'] = (message) => put(encodePlist({ UDID: udid, Topic: TOPIC, ...message }), CHECKIN)
  const report: RawDevice['report'] = (message) => put(encodePlist({ UDID: udid, ...message }))
  const next = async (answer: Answer) => {
    if (answer.status !== 200) throw new Error(`the server said ${answer.status}`)
    return answer.body.length === 0 ? undefined : plistDict(decodePlist(answer.body))
  }
  return {
    udid, identity, put, checkin, report,
    authenticate: (extra = {}) => checkin({ MessageType: 'Authenticate', ProductName: 'iPhone15,2', OSVersion: '18.0', BuildVersion: '22A3354', ...extra }),
    tokenUpdate: (extra = {}) => checkin({ MessageType: 'TokenUpdate', Token: server.apns.register(TOPIC), PushMagic: 'E9B3C0F6-52D1-4A8B-9C77-1F2E3D4C5B6A', ...extra }),
    idle: async () => next(await report({ Status: 'Idle' })),
    acknowledge: async (command, fields = {}) => next(await report({ Status: 'Acknowledged', CommandUUID: uuidOf(command), ...fields })),
  }
}

export interface Obtained {
  profile: EnrollmentProfile
  rep: CertRep
  identity: Signer
}

/** Downloads the profile behind a link and gets its identity by SCEP. */
export async function obtainIdentity(server: TestServer, link: string, key: KeyObject = shared.privateKey): Promise<Obtained> {
  const profile = await downloadProfile(server, link)
  const rep = await askScep(server, profile.scep.challenge, key)
  if (!rep.certificate) throw new Error(`SCEP failed: ${rep.failInfo}`)
  return { profile, rep, identity: { certificate: rep.certificate, key } }
}

export async function downloadProfile(server: TestServer, link: string): Promise<EnrollmentProfile> {
  const answer = await server.http('GET', `/e/${link}/profile`)
  if (answer.status !== 200) throw new Error(`no profile: ${answer.status} ${answer.body.toString()}`)
  return readEnrollmentProfile(verifyAttached(answer.body).content)
}

/** The RA and the CA certificate, by GetCACert. */
export async function caCertificates(server: TestServer): Promise<Certificate[]> {
  const answer = await server.http('GET', '/scep?operation=GetCACert')
  return readSignedData(answer.body).certificates.map((der) => readCertificate(der))
}

/** One PKCSReq with a challenge; the device's own self-signed certificate signs it. */
export async function askScep(server: TestServer, challenge: string, key: KeyObject = shared.privateKey, o: { transactionId?: string; csr?: Buffer } = {}): Promise<CertRep> {
  const signer = selfSigned(key)
  const csr = o.csr ?? createCsr({ subject: distinguishedName([['CN', 'device']]), key, challengePassword: challenge })
  const [recipient] = (await caCertificates(server)).filter((certificate) => !certificate.isCa)
  if (!recipient) throw new Error('no RA certificate')
  const body = pkcsReq({ csr, signer, recipient, messageType: '19', transactionId: o.transactionId ?? randomBytes(16).toString('hex') })
  const answer = await server.http('POST', '/scep?operation=PKIOperation', { headers: { 'content-type': 'application/x-pki-message' }, body })
  if (answer.status !== 200) throw new Error(`SCEP answered ${answer.status}`)
  return readCertRep(answer.body, signer)
}

/** A self-signed certificate of a key. */
export function selfSigned(key: KeyObject, subject = distinguishedName([['CN', 'device']])): Signer {
  const now = Date.now()
  const der = issueCertificate({
    subject, spki: spkiOf(key), serialNumber: randomBytes(16), notBefore: new Date(now - 3_600_000), notAfter: new Date(now + 86_400_000),
    issuer: { selfSigned: key }, profile: 'device',
  })
  return { certificate: readCertificate(der), key }
}

export function spkiOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ format: 'der', type: 'spki' })
}

/** A device with this UDID that has said Authenticate and TokenUpdate. */
export async function enrolledDevice(
  server: TestServer, udid: string, o: { link?: string; authenticate?: EncodableDict; token?: EncodableDict; prove?: Prove } = {},
): Promise<RawDevice> {
  const { identity } = await obtainIdentity(server, o.link ?? (await server.link()))
  const device = rawDevice(server, udid, identity, o.prove)
  for (const answer of [await device.authenticate(o.authenticate), await device.tokenUpdate(o.token)]) {
    if (answer.status !== 200) throw new Error(`enrolling ended with ${answer.status}`)
  }
  return device
}
