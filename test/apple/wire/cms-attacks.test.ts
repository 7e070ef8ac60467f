import { generateKeyPairSync } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { verifyAttached, verifyDetached } from '../../../src/apple/wire/cms.ts'
import { signAttached, signDetached, signDetachedLikeIos } from '../../../src/apple/wire/cms-sign.ts'
import * as der from '../../../src/apple/wire/der-writer.ts'
import { OID } from '../../../src/apple/wire/oids.ts'
import { forgeCms, type Forgery } from './forge-cms.ts'
import { certificatePem, ecKey, identity, type Identity, keyPem, rsaKey, withOpenssl } from './pki.ts'
import { reasonOf } from './reason-of.ts'

const body = Buffer.from('<?xml version="1.0"?><plist><dict><key>Status</key><string>Idle</string></dict></plist>\n')
let ca: Identity
let device: Identity
let other: Identity
let ecDevice: Identity

beforeAll(() => {
  ca = identity('CA', { profile: 'ca' })
  device = identity('Device A', { issuer: ca })
  other = identity('Device B', { issuer: ca })
  ecDevice = identity('EC device', { issuer: ca, key: ecKey() })
})

/** `openssl cms -sign` by this identity over the body, detached unless told otherwise. */
function opensslSign(signer: Identity, ...more: string[]): Buffer {
  const files = {
    body: body,
    'c.pem': certificatePem(signer.certificate),
    'k.pem': keyPem(signer.key),
    'ca.pem': certificatePem(ca.certificate),
    'more.pem': [other, ca].map(({ certificate }) => certificatePem(certificate)).join(''),
  }
  return withOpenssl(files, (openssl) =>
    openssl(
      'cms',
      '-sign',
      '-binary',
      '-in',
      'body',
      '-signer',
      'c.pem',
      '-inkey',
      'k.pem',
      '-outform',
      'DER',
      ...more,
    ),
  )
}

describe('attacks on a detached signature', () => {
  it('tells a clone with the same name, serial number and key identifier by its fingerprint', () => {
    const serialNumber = Buffer.from(device.certificate.serialNumber, 'hex')
    const clone = identity('Device A', { serialNumber })
    const asIfIssued = { ...clone, certificate: withIssuerOf(clone) }
    const { certificate } = verifyDetached(signDetached(body, asIfIssued), body)
    expect(certificate.serialNumber).toBe(device.certificate.serialNumber)
    expect(certificate.subject).toEqual(device.certificate.subject)
    expect(certificate.sha256).not.toEqual(device.certificate.sha256)
  })

  it('refuses the clone and the real certificate side by side', () => {
    const serialNumber = Buffer.from(device.certificate.serialNumber, 'hex')
    const twin = identity('Device A', { issuer: ca, serialNumber })
    expect(reasonOf(() => verifyDetached(signDetached(body, twin, { chain: [device.certificate] }), body))).toBe(
      'cms_shape',
    )
    expect(reasonOf(() => verifyDetached(signDetached(body, device, { chain: [device.certificate] }), body))).toBe(
      'cms_shape',
    )
  })

  it.each<[string, string, () => Forgery]>([
    ['nobody signed', 'cms_shape', () => ({ signers: 0 })],
    ['two signed', 'cms_shape', () => ({ signers: 2 })],
    ['twenty signed', 'asn1', () => ({ signers: 20 })],
    ['the content is inside as well', 'cms_shape', () => ({ content: body })],
    ['other content is inside', 'cms_shape', () => ({ content: Buffer.from('other') })],
    ['empty content is inside', 'cms_shape', () => ({ content: Buffer.alloc(0) })],
    ['no certificate is there', 'cms_shape', () => ({ certificates: [] })],
    ['only another certificate is there', 'cms_shape', () => ({ certificates: [other.certificate.der] })],
    [
      'an attribute certificate is there',
      'cms_shape',
      () => ({ certificates: [device.certificate.der, der.explicit(1)] }),
    ],
    ["the named signer is A, the key is B's", 'bad_signature', () => ({ signingKey: other.key })],
    [
      'the named signer is A, the key is of another type',
      'bad_signature',
      () => ({
        signingKey: ecDevice.key,
        signatureAlgorithm: [OID.ecdsaWithSha256],
      }),
    ],
    ['1,000 certificates', 'asn1', () => ({ certificates: Array.from({ length: 1000 }, () => other.certificate.der) })],
    [
      '17 certificates',
      'asn1',
      () => ({
        certificates: [device.certificate.der, ...Array.from({ length: 16 }, () => other.certificate.der)],
      }),
    ],
    ['an inner content type that is not data', 'cms_shape', () => ({ contentType: OID.envelopedData })],
    ['an outer type that is not SignedData', 'cms_shape', () => ({ outerType: OID.envelopedData })],
    ['the digest of another body is signed', 'digest_mismatch', () => ({ messageDigest: Buffer.alloc(32) })],
    ['a digest of another length is signed', 'digest_mismatch', () => ({ messageDigest: Buffer.alloc(0) })],
    ['contentType is missing', 'cms_shape', () => ({ without: OID.contentType })],
    ['messageDigest is missing', 'cms_shape', () => ({ without: OID.messageDigest })],
    ['contentType is of another type', 'cms_shape', () => ({ attributeType: OID.signedData })],
    [
      'messageDigest is there twice',
      'cms_shape',
      () => ({ extra: [OID.messageDigest, der.octetString(Buffer.alloc(32))] }),
    ],
    ['messageDigest has two values', 'cms_shape', () => ({ secondDigest: Buffer.alloc(32) })],
    ['the attributes are empty', 'cms_shape', () => ({ emptyAttributes: true })],
    ['MD5', 'weak_alg', () => ({ digestName: '1.2.840.113549.2.5' })],
    ['SHA-224', 'weak_alg', () => ({ digestName: '2.16.840.1.101.3.4.2.4' })],
    ['a digest without a name we know', 'weak_alg', () => ({ digestName: '1.2.3.4' })],
    ['MD5 with RSA', 'weak_alg', () => ({ signatureAlgorithm: ['1.2.840.113549.1.1.4', der.nullValue] })],
    ['RSA-PSS', 'weak_alg', () => ({ signatureAlgorithm: ['1.2.840.113549.1.1.10', der.sequence()] })],
    ['no signature algorithm worth the name', 'weak_alg', () => ({ signatureAlgorithm: ['1.3.6.1.5.5.7.6.2'] })],
    ['two different digests', 'cms_shape', () => ({ signatureAlgorithm: [OID.sha384WithRsa, der.nullValue] })],
    ['parameters where none belong', 'asn1', () => ({ signatureAlgorithm: [OID.sha256WithRsa, der.sequence()] })],
    ['an empty signature', 'bad_signature', () => ({ signature: Buffer.alloc(0) })],
    ['a signature of zeros', 'bad_signature', () => ({ signature: Buffer.alloc(256) })],
    ['a signature of another length', 'bad_signature', () => ({ signature: Buffer.alloc(257, 1) })],
  ])('refuses it when %s (%s)', (_, reason, make) => {
    expect(reasonOf(() => verifyDetached(forgeCms(device, body, make()), body))).toBe(reason)
  })

  it('refuses a genuine elliptic-curve signature that calls itself RSA', () => {
    expect(reasonOf(() => verifyDetached(forgeCms(ecDevice, body, {}), body))).toBe('bad_signature')
    const named = forgeCms(ecDevice, body, { signatureAlgorithm: [OID.ecdsaWithSha256] })
    expect(reasonOf(() => verifyDetached(named, body))).toBe('accepted')
  })

  it('accepts what the forger makes when nothing is forged', () => {
    expect(verifyDetached(forgeCms(device, body, {}), body).certificate.sha256).toEqual(device.certificate.sha256)
    expect(verifyDetached(forgeCms(device, body, { attributes: false }), body).digest).toBe('sha256')
  })

  it('believes the signer that is named, not the certificate that comes first', () => {
    const certificates = [device.certificate.der, other.certificate.der]
    const { certificate } = verifyDetached(forgeCms(other, body, { certificates }), body)
    expect(certificate.sha256).toEqual(other.certificate.sha256)
  })

  it('does not take a signature over attributes for one over a body made of them', () => {
    const cms = signDetached(body, device)
    const attributes = Buffer.from(cms.subarray(cms.indexOf(der.oid(OID.contentType)) - 4))
    const length = attributes[1]! + 2
    const asBody = Buffer.concat([Buffer.from([0x31]), attributes.subarray(1, length)])
    const signature = cms.subarray(-256)
    const cut = forgeCms(device, asBody, { attributes: false, signature })
    expect(reasonOf(() => verifyDetached(cut, asBody))).toBe('cms_shape')
  })

  it('refuses weak keys', () => {
    const weak = identity('Weak', { issuer: ca, key: rsaKey(1024) })
    const small = identity('Small', {
      issuer: ca,
      key: generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).privateKey,
    })
    const curve = identity('Curve', { issuer: ca, key: ecKey('secp256k1') })
    for (const signer of [weak, small, curve]) {
      expect(reasonOf(() => verifyDetached(signDetachedLikeIos(body, signer), body))).toBe('weak_alg')
    }
  })

  it('refuses RSA-PSS and Ed25519 of openssl', () => {
    expect(reasonOf(() => verifyDetached(opensslSign(device, '-keyopt', 'rsa_padding_mode:pss'), body))).toBe(
      'weak_alg',
    )
    const attached = opensslSign(device, '-nodetach')
    expect(reasonOf(() => verifyDetached(attached, body))).toBe('cms_shape')
    expect(reasonOf(() => verifyDetached(opensslSign(device, '-nodetach', '-stream'), body))).toBe('cms_shape')
  })

  it('refuses a certificate of the signer that is larger than 4 KB', () => {
    const subjectAltNames = Array.from({ length: 120 }, (_, i) => ({ dns: `host-${i}.some.long.name.example.org` }))
    const large = identity('large', { subjectAltNames })
    expect(large.certificate.der.length).toBeGreaterThan(4096)
    expect(reasonOf(() => verifyDetached(signDetached(body, large), body))).toBe('asn1')
    expect(reasonOf(() => verifyAttached(signAttached(body, large)))).toBe('accepted')
  })

  it('refuses bombs, and what is no CMS', () => {
    const cms = signDetached(body, device)
    expect(reasonOf(() => verifyDetached(Buffer.from('3080'.repeat(10_000), 'hex'), body))).toBe('asn1')
    expect(reasonOf(() => verifyDetached(Buffer.from('30888000000000000000', 'hex'), body))).toBe('asn1')
    expect(reasonOf(() => verifyDetached(Buffer.alloc(0), body))).toBe('asn1')
    expect(reasonOf(() => verifyDetached(Buffer.alloc(8192, 0x30), body))).toBe('asn1')
    expect(reasonOf(() => verifyDetached(Buffer.concat([cms, Buffer.alloc(1)]), body))).toBe('asn1')
    expect(reasonOf(() => verifyDetached(cms.subarray(0, -1), body))).toBe('asn1')
    expect(reasonOf(() => verifyDetached(device.certificate.der, body))).toBe('asn1')
  })
})

/** The clone's certificate with the issuer's name of the real one, as its maker would write it. */
function withIssuerOf(clone: Identity) {
  const pretender = identity('CA', { profile: 'ca' })
  const serialNumber = Buffer.from(device.certificate.serialNumber, 'hex')
  return identity('Device A', { key: clone.key, issuer: pretender, serialNumber }).certificate
}
