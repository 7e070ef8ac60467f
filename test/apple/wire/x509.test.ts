import { X509Certificate } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import * as der from '../../../src/apple/wire/der-writer.ts'
import { OID } from '../../../src/apple/wire/oids.ts'
import {
  checkDeviceCertificateSize,
  distinguishedName,
  isSignedBy,
  KEY_USAGE,
  readCertificate,
} from '../../../src/apple/wire/x509.ts'
import { issueCertificate } from '../../../src/apple/wire/x509-issue.ts'
import {
  certificatePem,
  ecKey,
  identity,
  type Identity,
  keyPem,
  notAfter,
  notBefore,
  rsaKey,
  spkiOf,
  withOpenssl,
} from './pki.ts'
import { reasonOf } from './reason-of.ts'

let ca: Identity
let device: Identity

beforeAll(() => {
  ca = identity('Our CA', { profile: 'ca' })
  device = identity('A device', { issuer: ca })
})

describe('reading a certificate', () => {
  it('reads what node:crypto reads', () => {
    const { certificate } = device
    const oracle = new X509Certificate(certificate.der)
    expect(certificate.sha256.toString('hex')).toBe(oracle.fingerprint256.replaceAll(':', '').toLowerCase())
    expect(certificate.serialNumber).toBe(oracle.serialNumber.toLowerCase())
    expect(certificate.notBefore).toEqual(notBefore)
    expect(certificate.notAfter).toEqual(notAfter)
    expect(certificate.publicKey.equals(oracle.publicKey)).toBe(true)
    expect(certificate.isCa).toBe(false)
    expect(certificate.commonName).toBe('A device')
    expect(certificate.extendedKeyUsage).toEqual([OID.clientAuth])
    expect(certificate.keyUsage).toBe(KEY_USAGE.digitalSignature | KEY_USAGE.keyEncipherment)
    expect(certificate.issuer).toEqual(ca.certificate.subject)
    expect(ca.certificate.isCa).toBe(true)
    expect(ca.certificate.keyUsage).toBe(KEY_USAGE.keyCertSign | KEY_USAGE.crlSign)
  })

  it('reads a certificate that openssl made, with a UID, without extensions of ours', () => {
    const subject = '/UID=com.apple.mgmt.External.1/CN=APSP:1/C=US'
    const made = withOpenssl({ 'key.pem': keyPem(device.key) }, (openssl) =>
      openssl(
        'req',
        '-x509',
        '-new',
        '-key',
        'key.pem',
        '-subj',
        subject,
        '-days',
        '10',
        '-outform',
        'DER',
        '-set_serial',
        '0x00ff',
      ),
    )
    const certificate = readCertificate(made)
    expect(certificate.userId).toBe('com.apple.mgmt.External.1')
    expect(certificate.commonName).toBe('APSP:1')
    expect(certificate.serialNumber).toBe('ff')
    expect(certificate.extendedKeyUsage).toEqual([])
    expect('keyUsage' in certificate).toBe(false)
    expect(isSignedBy(certificate, certificate)).toBe(true)
  })

  it('does not change when the bytes it came from do', () => {
    const bytes = Buffer.from(device.certificate.der)
    const certificate = readCertificate(bytes)
    bytes.fill(0)
    expect(certificate.der).toEqual(device.certificate.der)
    expect(certificate.subject).toEqual(device.certificate.subject)
  })

  it('decodes the key once and keeps it for the same certificate', () => {
    const again = readCertificate(device.certificate.der)
    expect(again.publicKey).toBe(device.certificate.publicKey)
  })

  it('refuses what is no certificate, has bytes after it, or is too large', () => {
    expect(reasonOf(() => readCertificate(Buffer.from('hello')))).toBe('asn1')
    expect(reasonOf(() => readCertificate(Buffer.concat([device.certificate.der, Buffer.alloc(1)])))).toBe('asn1')
    expect(reasonOf(() => readCertificate(Buffer.alloc(16 * 1024 + 1, 0x30)))).toBe('asn1')
    expect(reasonOf(() => readCertificate(device.certificate.der.subarray(0, -1)))).toBe('asn1')
  })

  it('refuses one whose inner and outer signature algorithms differ', () => {
    const other = Buffer.from(device.certificate.der)
    const outer = other.lastIndexOf(der.oid(OID.sha256WithRsa))
    der.oid(OID.sha384WithRsa).copy(other, outer)
    expect(reasonOf(() => readCertificate(other))).toBe('asn1')
  })

  it('tells a certificate that is too large for a device', () => {
    const key = ecKey()
    const subjectAltNames = Array.from({ length: 150 }, (_, i) => ({ dns: `host-${i}.some.long.name.example.org` }))
    const template = { subject: distinguishedName([['CN', 'x']]), spki: spkiOf(key), serialNumber: Buffer.alloc(16, 1) }
    const made = issueCertificate({
      ...template,
      notBefore,
      notAfter,
      issuer: { selfSigned: key },
      profile: 'server',
      subjectAltNames,
    })
    expect(made.length).toBeGreaterThan(4096)
    expect(reasonOf(() => checkDeviceCertificateSize(readCertificate(made)))).toBe('asn1')
    expect(reasonOf(() => checkDeviceCertificateSize(device.certificate))).toBe('accepted')
  })

  it('refuses one with a subject of more than 2 KB', () => {
    const parts = Array.from({ length: 31 }, (): [string, string] => ['OU', 'x'.repeat(64)])
    expect(reasonOf(() => identity('x', { key: ecKey(), parts }))).toBe('asn1')
  })
})

describe('whose signature a certificate carries', () => {
  it('knows its issuer', () => {
    expect(isSignedBy(device.certificate, ca.certificate)).toBe(true)
    expect(isSignedBy(ca.certificate, ca.certificate)).toBe(true)
    expect(isSignedBy(ca.certificate, device.certificate)).toBe(false)
  })

  it('does not believe a second CA of the same name', () => {
    const impostor = identity('Our CA', { profile: 'ca' })
    const theirs = identity('A device', { issuer: impostor })
    expect(impostor.certificate.subject).toEqual(ca.certificate.subject)
    expect(isSignedBy(theirs.certificate, ca.certificate)).toBe(false)
    expect(isSignedBy(device.certificate, impostor.certificate)).toBe(false)
  })

  it('does not believe the same key under another name', () => {
    const renamed = identity('Other name', { key: ca.key, profile: 'ca' })
    expect(isSignedBy(device.certificate, renamed.certificate)).toBe(false)
  })

  it('sees a changed byte in the signed part and in the signature', () => {
    const name = device.certificate.der.indexOf('A device')
    for (const at of [name, device.certificate.der.length - 5]) {
      const changed = Buffer.from(device.certificate.der)
      changed[at]! ^= 1
      expect(isSignedBy(readCertificate(changed), ca.certificate)).toBe(false)
    }
  })

  it('works with elliptic curves, and does not mix up key types', () => {
    const ecCa = identity('Our CA', { key: ecKey(), profile: 'ca' })
    const mine = identity('EC', { key: ecKey('P-384'), issuer: ecCa })
    expect(isSignedBy(mine.certificate, ecCa.certificate)).toBe(true)
    expect(isSignedBy(mine.certificate, ca.certificate)).toBe(false)
  })

  it('believes SHA-1 and short keys only of the pinned Apple authority', () => {
    const files = { 'ca.pem': certificatePem(ca.certificate), 'ca.key': keyPem(ca.key), 'k.pem': keyPem(rsaKey(1024)) }
    const [sha1, weak, root, weakSha256] = withOpenssl(files, (openssl) => {
      openssl('req', '-new', '-key', 'k.pem', '-subj', '/CN=phone', '-out', 'csr.pem')
      openssl('req', '-x509', '-new', '-key', 'k.pem', '-subj', '/CN=Old root', '-days', '9', '-out', 'root.pem')
      const sign = ['x509', '-req', '-in', 'csr.pem', '-days', '9', '-outform', 'DER', '-set_serial', '7']
      return [
        openssl(...sign, '-sha1', '-CA', 'ca.pem', '-CAkey', 'ca.key'),
        openssl(...sign, '-sha1', '-CA', 'root.pem', '-CAkey', 'k.pem'),
        openssl('x509', '-in', 'root.pem', '-outform', 'DER'),
        openssl(...sign, '-sha256', '-CA', 'root.pem', '-CAkey', 'k.pem'),
      ].map((made) => readCertificate(made))
    })
    expect(isSignedBy(sha1!, ca.certificate)).toBe(false)
    expect(isSignedBy(sha1!, ca.certificate, { appleDevice: true })).toBe(true)
    expect(isSignedBy(weak!, root!)).toBe(false)
    expect(isSignedBy(weakSha256!, root!)).toBe(false)
    expect(isSignedBy(weak!, root!, { appleDevice: true })).toBe(true)
  })

  it('does not believe MD5 or RSA-PSS', () => {
    const files = { 'ca.pem': certificatePem(ca.certificate), 'ca.key': keyPem(ca.key), 'k.pem': keyPem(device.key) }
    const made = withOpenssl(files, (openssl) => {
      openssl('req', '-new', '-key', 'k.pem', '-subj', '/CN=phone', '-out', 'csr.pem')
      const sign = [
        'x509',
        '-req',
        '-in',
        'csr.pem',
        '-days',
        '9',
        '-outform',
        'DER',
        '-CA',
        'ca.pem',
        '-CAkey',
        'ca.key',
      ]
      return [openssl(...sign, '-md5'), openssl(...sign, '-sha256', '-sigopt', 'rsa_padding_mode:pss')]
    })
    for (const certificate of made) expect(isSignedBy(readCertificate(certificate), ca.certificate)).toBe(false)
  })
})
