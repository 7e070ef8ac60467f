import { X509Certificate } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { type CertificateProfile, issueCertificate } from '../../../src/apple/wire/x509-issue.ts'
import { distinguishedName, readCertificate } from '../../../src/apple/wire/x509.ts'
import {
  certificatePem,
  ecKey,
  identity,
  type Identity,
  notAfter,
  notBefore,
  rsaKey,
  spkiOf,
  withOpenssl,
} from './pki.ts'

let rsaCa: Identity
let ecCa: Identity

beforeAll(() => {
  rsaCa = identity('RSA CA', { profile: 'ca' })
  ecCa = identity('EC CA', { profile: 'ca', key: ecKey('P-384') })
})

function textOf(der: Buffer): string {
  const pem = certificatePem(readCertificate(der))
  return withOpenssl({ 'c.pem': pem }, (openssl) => openssl('x509', '-in', 'c.pem', '-noout', '-text').toString())
}

function issued(profile: CertificateProfile, issuer: Identity, key = ecKey()): Buffer {
  return identity('Subject', { profile, issuer, key }).certificate.der
}

describe('issuing', () => {
  it.each([
    ['rsa', 'device', 'sslclient'],
    ['rsa', 'server', 'sslserver'],
    ['ec', 'device', 'sslclient'],
    ['ec', 'client', 'sslclient'],
    ['ec', 'server', 'sslserver'],
    ['rsa', 'ra', 'any'],
    ['ec', 'profile_signer', 'any'],
  ] as const)('openssl verifies a certificate of an %s CA for %s', (type, profile, purpose) => {
    const ca = type === 'rsa' ? rsaCa : ecCa
    const files = {
      'ca.pem': certificatePem(ca.certificate),
      'c.pem': certificatePem(readCertificate(issued(profile, ca))),
    }
    const said = withOpenssl(files, (openssl) =>
      openssl('verify', '-x509_strict', '-CAfile', 'ca.pem', '-purpose', purpose, 'c.pem').toString(),
    )
    expect(said.trim()).toBe('c.pem: OK')
  })

  it('makes a device certificate that is no server and no CA', () => {
    const files = {
      'ca.pem': certificatePem(rsaCa.certificate),
      'c.pem': certificatePem(readCertificate(issued('device', rsaCa))),
    }
    withOpenssl(files, (openssl) => {
      expect(() => openssl('verify', '-CAfile', 'ca.pem', '-purpose', 'sslserver', 'c.pem')).toThrow(
        /purpose|unsuitable/,
      )
    })
  })

  it('does not let our device act as a CA', () => {
    const device = identity('Device', { issuer: rsaCa })
    const below = identity('Below', { issuer: device, key: ecKey() })
    const pems = { 'ca.pem': certificatePem(rsaCa.certificate), 'i.pem': certificatePem(device.certificate) }
    withOpenssl({ ...pems, 'c.pem': certificatePem(below.certificate) }, (openssl) => {
      expect(() => openssl('verify', '-CAfile', 'ca.pem', '-untrusted', 'i.pem', 'c.pem')).toThrow(/invalid CA/)
    })
  })

  it('writes the extensions of a CA', () => {
    const text = textOf(rsaCa.certificate.der)
    expect(text).toMatch(/Basic Constraints: critical\s+CA:TRUE, pathlen:0/)
    expect(text).toMatch(/Key Usage: critical\s+Certificate Sign, CRL Sign\n/)
    expect(text).not.toContain('Extended Key Usage')
  })

  it('writes the extensions of a device, with a key that may encrypt only if it can', () => {
    const rsa = textOf(issued('device', ecCa, rsaKey()))
    expect(rsa).toMatch(/Basic Constraints: critical\s+CA:FALSE/)
    expect(rsa).toMatch(/Key Usage: critical\s+Digital Signature, Key Encipherment\n/)
    expect(rsa).toMatch(/Extended Key Usage: \n?\s+TLS Web Client Authentication\n/)
    expect(textOf(issued('device', ecCa))).toMatch(/Key Usage: critical\s+Digital Signature\n/)
  })

  it('gives the SCEP helper and the profile signer no purpose that a device has', () => {
    for (const profile of ['ra', 'profile_signer'] as const) {
      expect(readCertificate(issued(profile, rsaCa, rsaKey())).extendedKeyUsage).toEqual([])
    }
  })

  it("names the key and the issuer's key", () => {
    const text = textOf(issued('device', rsaCa))
    const keyId = new RegExp(`Authority Key Identifier: \\s+${hexPairs(rsaCa.certificate.subjectKeyId)}`)
    expect(text).toMatch(keyId)
    expect(text).toMatch(/X509v3 Subject Key Identifier/)
  })

  it('writes names and addresses of a server as openssl reads them', () => {
    const key = ecKey()
    const names = [
      { dns: 'mdm.example.org' },
      { ip: '192.0.2.1' },
      { ip: '2001:db8::5' },
      { ip: '::' },
      { ip: '::ffff:192.0.2.9' },
    ]
    const certificate = new X509Certificate(
      issueCertificate({
        subject: distinguishedName([['CN', 'mdm']]),
        spki: spkiOf(key),
        serialNumber: Buffer.alloc(16, 1),
        notBefore,
        notAfter,
        issuer: { selfSigned: key },
        profile: 'server',
        subjectAltNames: names,
      }),
    )
    expect(certificate.subjectAltName).toBe(
      'DNS:mdm.example.org, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:5, ' +
        'IP Address:0:0:0:0:0:0:0:0, IP Address:0:0:0:0:0:FFFF:C000:209',
    )
    expect(certificate.checkHost('mdm.example.org')).toBe('mdm.example.org')
    expect(certificate.checkIP('192.0.2.1')).toBe('192.0.2.1')
  })

  it('keeps a serial number positive and within 20 octets', () => {
    const withSerial = (serialNumber: Buffer) => identity('x', { key: ecKey(), serialNumber }).certificate
    expect(withSerial(Buffer.alloc(16, 0xff)).serialNumber).toBe('ff'.repeat(16))
    expect(new X509Certificate(withSerial(Buffer.alloc(16, 0xff)).der).serialNumber).toBe('FF'.repeat(16))
    expect(withSerial(Buffer.alloc(20, 0x7f)).serialNumber).toBe('7f'.repeat(20))
    expect(() => withSerial(Buffer.alloc(20, 0xff))).toThrow(RangeError)
    expect(() => withSerial(Buffer.alloc(15, 1))).toThrow(RangeError)
    expect(() => withSerial(Buffer.alloc(21, 1))).toThrow(RangeError)
  })

  it('lets a CA sign itself', () => {
    const said = withOpenssl({ 'c.pem': certificatePem(ecCa.certificate) }, (openssl) =>
      openssl('verify', '-x509_strict', '-CAfile', 'c.pem', 'c.pem').toString(),
    )
    expect(said.trim()).toBe('c.pem: OK')
  })
})

const hexPairs = (bytes: Buffer | undefined): string =>
  (bytes?.toString('hex').toUpperCase().match(/../g) ?? []).join(':')
