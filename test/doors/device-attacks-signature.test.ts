import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { signAttached, signDetached, signDetachedLikeIos, type Signer } from '../../src/apple/wire/cms-sign.ts'
import { OID } from '../../src/apple/wire/oids.ts'
import * as der from '../../src/apple/wire/der-writer.ts'
import { encodePlist } from '../../src/apple/wire/plist-writer.ts'
import { forgeCms } from '../apple/wire/forge-cms.ts'
import { certify, deviceCaOf, refused, unchanged } from '../support/attacks.ts'
import { startBramley, TOPIC, type TestServer } from '../support/bramley.ts'
import { enrolledIn, MODES, put, type Headers, type Proof } from '../support/modes.ts'
import { CHECKIN, REPORT, signatureOf, type RawDevice } from '../support/raw-device.ts'

const A = '00008120-00000000000A'
const weakKey = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey

const MESSAGES: [string, Buffer, string][] = [
  ['Idle', encodePlist({ Status: 'Idle', UDID: A }), REPORT],
  ['TokenUpdate', encodePlist({ MessageType: 'TokenUpdate', Topic: TOPIC, UDID: A, Token: Buffer.alloc(32, 7), PushMagic: 'magic' }), CHECKIN],
]

interface Cast {
  a: Signer
  b: Signer
  ca: Signer
}
const other = Buffer.from('other')
const flat = (depth: number) => Buffer.from('3080'.repeat(depth), 'hex')

/** A header Mdm-Signature that must not pass: alone where it decides, and beside a good proof where something else does. */
const forgeries: [title: string, reason: string, make: (body: Buffer, cast: Cast) => Buffer][] = [
  ['8: a signature over another body', 'bad_signature', (_body, { a }) => signDetachedLikeIos(other, a)],
  ['9: signed attributes that hold the digest of another body', 'digest_mismatch', (_body, { a }) => signDetached(other, a)],
  ['9: the digest of another body under a good signature', 'digest_mismatch', (body, { a }) => forgeCms(a, body, { messageDigest: Buffer.alloc(32) })],
  ['10: embedded content', 'cms_shape', (body, { a }) => signAttached(body, a)],
  ['10: two signers', 'cms_shape', (body, { a }) => forgeCms(a, body, { signers: 2 })],
  ['10: nobody signed', 'cms_shape', (body, { a }) => forgeCms(a, body, { signers: 0 })],
  ['10: no certificate of the signer', 'cms_shape', (body, { a, b }) => forgeCms(a, body, { certificates: [b.certificate.der] })],
  ['10: A named as the signer, signed by B’s key', 'bad_signature', (body, { a, ca }) => forgeCms(a, body, { signingKey: ca.key })],
  ['11: MD5', 'weak_alg', (body, { a }) => forgeCms(a, body, { digestName: '1.2.840.113549.2.5' })],
  ['11: RSA with MD5', 'weak_alg', (body, { a }) => forgeCms(a, body, { signatureAlgorithm: ['1.2.840.113549.1.1.4', der.nullValue] })],
  ['11: RSA-PSS with odd parameters', 'weak_alg', (body, { a }) => forgeCms(a, body, { signatureAlgorithm: ['1.2.840.113549.1.1.10', der.sequence()] })],
  ['11: no signature algorithm', 'weak_alg', (body, { a }) => forgeCms(a, body, { signatureAlgorithm: ['1.3.6.1.5.5.7.6.2'] })],
  ['11: an elliptic-curve signature that calls itself RSA', 'bad_signature', (body, { ca }) => forgeCms(certify({ issuer: ca }), body, {})],
  ['11: RSA of 1024 bits', 'weak_alg', (body, { ca }) => signDetachedLikeIos(body, certify({ issuer: ca, key: weakKey }))],
  ['11: a digest that nobody knows', 'weak_alg', (body, { a }) => forgeCms(a, body, { digestName: '1.2.3.4' })],
  ['11: two digests', 'cms_shape', (body, { a }) => forgeCms(a, body, { signatureAlgorithm: [OID.sha384WithRsa, der.nullValue] })],
  ['55: 10 000 indefinite lengths in each other', 'cms_shape', () => flat(10_000)],
  ['55: as many of them as fit', 'asn1', () => flat(4_000)],
  ['55: a length of 2^63', 'asn1', () => Buffer.from('30888000000000000000', 'hex')],
  ['55: 17 certificates', 'cms_shape', (body, { a, b }) => forgeCms(a, body, { certificates: [a.certificate.der, ...Array.from({ length: 16 }, () => b.certificate.der)] })],
  ['55: nothing but tags', 'asn1', () => Buffer.alloc(8192, 0x30)],
]

describe.each(MODES)('$mode', (mode) => {
  let server: TestServer
  let a: RawDevice
  let cast: Cast
  beforeAll(async () => {
    server = await startBramley({ settings: mode.settings })
    a = await enrolledIn(mode, server, A)
    const b = await enrolledIn(mode, server, '00008120-00000000000B')
    cast = { a: a.identity, b: b.identity, ca: await deviceCaOf(server) }
  })
  afterAll(() => server.stop())

  /** What A would rightly show, with this header for its own signature or beside it. */
  const withHeader = (body: Buffer, signature: string): Proof => {
    const proof = mode.prove(a.identity, body)
    return { ...proof, headers: { ...proof.headers, 'mdm-signature': signature } as Headers }
  }

  describe.each(MESSAGES)('on %s', (_name, body, type) => {
    it.each(forgeries)('%s', (_title, reason, make) => (
      refused(server, reason, () => put(server, body, type, withHeader(body, make(body, cast).toString('base64'))))))

    it('8: a body changed on the way', () => {
      const changed = Buffer.from(body.toString().replace('Idle', 'NotNow').replace('magic', 'MAGIC'))
      return refused(server, 'bad_signature', () => put(server, changed, type, withHeader(body, signatureOf(body, a.identity))))
    })

    it('10: the certificate of A in front of B’s, signed by B', () => {
      const certificates = [cast.a.certificate.der, cast.b.certificate.der]
      const forged = forgeCms(cast.b, body, { certificates }).toString('base64')
      return refused(server, mode.mode === 'signature' ? 'cert_enrollment_mismatch' : 'identity_conflict', () => put(server, body, type, withHeader(body, forged)))
    })

    it.each([['!!!!', 'cms_shape'], ['=', 'cms_shape'], ['AAAA', 'asn1'], [Buffer.from('{}').toString('base64'), 'asn1']])('55: a header that is no CMS at all: %s', (header, reason) => (
      refused(server, reason, () => put(server, body, type, withHeader(body, header)))))

    it('55: a header that is too long, as with 1 000 certificates', async () => {
      const answer = await unchanged(server, () => put(server, body, type, withHeader(body, 'A'.repeat(70_000))))
      expect([answer.status, answer.body.length]).toEqual([431, 0])
    })
  })

  it('11: SHA-1 over the body alone, as Apple’s devices send it, and SHA-256 in DER are welcome', async () => {
    for (const sign of [signDetachedLikeIos, signDetached]) {
      const [[, body, type]] = MESSAGES as [[string, Buffer, string]]
      expect((await put(server, body, type, withHeader(body, sign(body, a.identity).toString('base64')))).status).toBe(200)
    }
  })

  it('11: a certificate with a weak key, of a CA that still made them', async () => {
    const weak = certify({ issuer: cast.ca, key: weakKey })
    const [[, body, type]] = MESSAGES as [[string, Buffer, string]]
    await refused(server, 'weak_alg', () => put(server, body, type, mode.prove(weak, body)))
  })
})
