import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Signer } from '../../src/apple/wire/cms-sign.ts'
import { encodePlist } from '../../src/apple/wire/plist-writer.ts'
import { certificateAuthority, certify, DAY, deviceCaOf, messagesOf, refused } from '../support/attacks.ts'
import { startBramley, type TestServer } from '../support/bramley.ts'
import { enrolledIn, MODES, put, rfc9440, type Proof } from '../support/modes.ts'
import { REPORT, selfSigned, signatureOf, type RawDevice } from '../support/raw-device.ts'

// The numbers are those of the threat model; what a signature itself can have wrong is in device-attacks-signature.test.ts.
const A = '00008120-00000000000A'
const B = '00008120-00000000000B'
/** Making RSA keys is slow; one serves every stranger. */
const foreignKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey

describe.each(MODES)('$mode', (mode) => {
  let server: TestServer
  let a: RawDevice
  let b: RawDevice
  let ca: Signer
  let twin: Signer
  beforeAll(async () => {
    server = await startBramley({ settings: mode.settings })
    a = await enrolledIn(mode, server, A, { token: { UnlockToken: randomBytes(64) } })
    b = await enrolledIn(mode, server, B)
    await server.api('POST', `/devices/${A}/commands`, { type: 'ProfileList' })
    ca = await deviceCaOf(server)
    twin = certificateAuthority(ca.certificate.subject)
  })
  afterAll(() => server.stop())

  describe.each(messagesOf(A))('an attack by %s', (name, contentType, message) => {
    const body = encodePlist(message)
    const attempt = (reason: string, proof: Proof) => refused(server, reason, () => put(server, body, contentType, proof))
    const by = (identity: Signer) => mode.prove(identity, body)

    it(`1${name === 'CheckOut' ? ', 19' : ''}: another device’s valid certificate`, () => attempt('cert_enrollment_mismatch', by(b.identity)))
    it('3: no certificate at all', () => attempt('no_certificate', {}))
    it('12: a signature or a proxy’s header of somebody else beside it', async () => {
      const others = { 'mdm-signature': signatureOf(body, b.identity), 'client-cert': rfc9440(b.identity) }
      const { tls, headers } = by(a.identity)
      for (const [field, value] of Object.entries(others)) {
        if (field !== mode.header) await attempt('identity_conflict', { ...(tls && { tls }), headers: { ...headers, [field]: value } })
      }
    })
  })

  // Whose certificate it is comes before what is said: one message of each kind of handler is enough.
  const some = messagesOf(A).filter(([name]) => ['Authenticate', 'CheckOut', 'Idle', 'Acknowledged'].includes(name))
  describe.each(some)('a certificate that is none of ours, with %s', (_name, contentType, message) => {
    const body = encodePlist(message)
    const attempt = (reason: string, proof: Proof) => refused(server, reason, () => put(server, body, contentType, proof))
    const by = (identity: Signer) => mode.prove(identity, body)

    it('4: a self-signed clone with the same subject', () => attempt('untrusted_issuer', by(selfSigned(foreignKey, a.identity.certificate.subject))))
    it('4, 5: a clone with the same subject and serial number, of another CA with the same name', () => attempt('untrusted_issuer', by(cloneOf(a.identity, twin))))
    it('5, 62: a certificate of another CA with the same name', () => attempt('untrusted_issuer', by(certify({ issuer: twin }))))
    it('6: an expired certificate', () => attempt('expired', by(certify({ issuer: ca, from: -2 * DAY, to: -DAY }))))
    it('6: a certificate that is not valid yet', () => attempt('not_yet_valid', by(certify({ issuer: ca, from: DAY, to: 2 * DAY }))))
    it('7: a server certificate of our own CA', () => attempt('wrong_usage', by(certify({ issuer: ca, profile: 'server' }))))
    it('7: the CA certificate itself', () => attempt('wrong_usage', by(ca)))
    it('4: a certificate of our CA with the subject of A that nobody was issued', () => (
      attempt('unknown_certificate', by(certify({ issuer: ca, subject: a.identity.certificate.subject })))))
  })

  it('12: the same certificate beside it changes nothing', async () => {
    const idle = encodePlist({ Status: 'Idle', UDID: A })
    const { tls, headers } = mode.prove(a.identity, idle)
    const all = { 'mdm-signature': signatureOf(idle, a.identity), 'client-cert': rfc9440(a.identity), ...headers }
    const answer = await put(server, idle, REPORT, { ...(tls && { tls }), headers: all })
    expect([answer.status, answer.body.toString()]).toEqual([200, expect.stringContaining('ProfileList')])
  })

  it('6: a revoked certificate', async () => {
    const c = await enrolledIn(mode, server, '00008120-00000000000C')
    await server.db.query('update certificates set revoked_at = now() where sha256 = $1', [c.identity.certificate.sha256])
    for (const [, contentType, message] of messagesOf(c.udid)) await refused(server, 'revoked', () => c.put(encodePlist(message), contentType))
  })
})

const cloneOf = ({ certificate }: Signer, issuer: Signer) => (
  certify({ issuer, subject: certificate.subject, serialNumber: Buffer.from(certificate.serialNumber, 'hex') }))
