import { createPrivateKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Signer } from '../../src/apple/wire/cms-sign.ts'
import { issueCertificate, type CertificateProfile } from '../../src/apple/wire/x509-issue.ts'
import type { SubjectAltName } from '../../src/apple/wire/subject-alt-names.ts'
import { distinguishedName } from '../../src/apple/wire/x509-name.ts'
import { readCertificate } from '../../src/apple/wire/x509.ts'
import { readSecretKey } from '../../src/base/secret-key.ts'
import { openVault } from '../../src/base/vault.ts'
import type { EncodableDict } from '../../src/apple/wire/plist-writer.ts'
import { dumpTables, still, TOPIC, type Answer, type TestServer } from './bramley.ts'
import { CHECKIN, REPORT, spkiOf } from './raw-device.ts'

export const DAY = 86_400_000

/** The device CA with its key, as only somebody with the master key and the database could have it. */
export async function deviceCaOf(server: TestServer): Promise<Signer> {
  const [row] = await server.db.query<{ certificate: Buffer; sealed_key: Buffer }>(`select certificate, sealed_key from authorities where role = 'device_ca'`)
  if (!row) throw new Error('no device CA')
  const key = openVault(readSecretKey(join(server.dataFolder, 'secret.key')).key).open(row.sealed_key, 'authorities.sealed_key:device_ca')
  return { certificate: readCertificate(row.certificate), key: createPrivateKey({ key, format: 'der', type: 'pkcs8' }) }
}

export interface Certified {
  issuer: Signer
  profile?: CertificateProfile
  /** Milliseconds from now. */
  from?: number
  to?: number
  subject?: Buffer
  serialNumber?: Buffer
  names?: SubjectAltName[]
  /** A fresh one of P-256 when not given. */
  key?: KeyObject
}

/** A key with a certificate of this issuer. */
export function certify(o: Certified): Signer {
  const key = o.key ?? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const der = issueCertificate({
    subject: o.subject ?? distinguishedName([['CN', 'x']]), spki: spkiOf(key), serialNumber: o.serialNumber ?? randomBytes(16),
    notBefore: new Date(Date.now() + (o.from ?? -DAY)), notAfter: new Date(Date.now() + (o.to ?? DAY)), issuer: o.issuer, profile: o.profile ?? 'device',
    ...(o.names && { subjectAltNames: o.names }),
  })
  return { certificate: readCertificate(der), key }
}

/** A CA of its own. */
export function certificateAuthority(subject = distinguishedName([['CN', 'Another device CA']]), o: { from?: number; to?: number } = {}): Signer {
  const { privateKey: key } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const der = issueCertificate({
    subject, spki: spkiOf(key), serialNumber: randomBytes(16), notBefore: new Date(Date.now() + (o.from ?? -DAY)),
    notAfter: new Date(Date.now() + (o.to ?? DAY)), issuer: { selfSigned: key }, profile: 'ca',
  })
  return { certificate: readCertificate(der), key }
}

/** What it answers, when every table is as it was before; but for when devices were last seen, and `besides`. */
export async function unchanged<T>(server: TestServer, send: () => Promise<T>, besides: string[] = []): Promise<T> {
  const seen = new Set(['enrollment_sightings', ...besides])
  await still(server)
  const before = await dumpTables(server.db, seen)
  const answer = await send()
  expect(await dumpTables(server.db, seen)).toEqual(before)
  return answer
}

/** Sends it, and expects 400 (or `status`) with an empty body, the reason in the log, and every table as it was. */
export async function refused(server: TestServer, reason: string, send: () => Promise<Answer>, status = 400): Promise<void> {
  const logged = server.logs.length
  const answer = await unchanged(server, send)
  expect({ status: answer.status, body: answer.body.toString() }).toEqual({ status, body: '' })
  expect(server.logs.slice(logged).map((line) => line['reason'])).toContain(reason)
}

/** One message of every kind that passes the door, as `udid` would send it. */
export function messagesOf(udid: string): [name: string, contentType: string, message: EncodableDict][] {
  const status = Buffer.from('{"StatusItems":{"of":"thief"},"FullReport":true}')
  return [
    ['Authenticate', CHECKIN, { MessageType: 'Authenticate', Topic: TOPIC, UDID: udid, ProductName: 'iPhone15,2' }],
    ['TokenUpdate', CHECKIN, { MessageType: 'TokenUpdate', Topic: TOPIC, UDID: udid, Token: randomBytes(32), PushMagic: 'magic' }],
    ['CheckOut', CHECKIN, { MessageType: 'CheckOut', Topic: TOPIC, UDID: udid }],
    ['SetBootstrapToken', CHECKIN, { MessageType: 'SetBootstrapToken', UDID: udid, BootstrapToken: randomBytes(32) }],
    ['GetBootstrapToken', CHECKIN, { MessageType: 'GetBootstrapToken', UDID: udid }],
    ['UserAuthenticate', CHECKIN, { MessageType: 'UserAuthenticate', UDID: udid, UserID: '16C0477E-EB2F-4B5E-AAFD-92B2B91C4B16' }],
    ['GetToken', CHECKIN, { MessageType: 'GetToken', UDID: udid, TokenServiceType: 'com.apple.maid' }],
    ['a declarative status', CHECKIN, { MessageType: 'DeclarativeManagement', UDID: udid, Endpoint: 'status', Data: status }],
    ['Idle', REPORT, { Status: 'Idle', UDID: udid }],
    ['Acknowledged', REPORT, { Status: 'Acknowledged', CommandUUID: 'x', UDID: udid }],
    ['NotNow', REPORT, { Status: 'NotNow', CommandUUID: 'x', UDID: udid }],
  ]
}
