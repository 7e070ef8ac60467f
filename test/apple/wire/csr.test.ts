import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import forge from 'node-forge'
import { beforeAll, describe, expect, it } from 'vitest'
import { createCsr, readCsr } from '../../../src/apple/wire/csr.ts'
import * as der from '../../../src/apple/wire/der-writer.ts'
import { OID } from '../../../src/apple/wire/oids.ts'
import { makeSignature, signatureAlgorithm } from '../../../src/apple/wire/signature.ts'
import { distinguishedName } from '../../../src/apple/wire/x509.ts'
import { ecKey, keyPem, rsaKey, spkiOf, withOpenssl } from './pki.ts'
import { reasonOf } from './reason-of.ts'
import { closePrimesKey } from './weak-keys.ts'

const subject = distinguishedName([['CN', 'x']])
let key: KeyObject

beforeAll(() => {
  key = rsaKey()
})

const opensslCsr = (signer: KeyObject, ...more: string[]): Buffer =>
  withOpenssl({ 'k.pem': keyPem(signer) }, (openssl) =>
    openssl('req', '-new', '-key', 'k.pem', '-subj', '/O=A/CN=phone', '-outform', 'DER', ...more),
  )

/** A request with these attributes in it, properly signed. */
function withAttributes(...attributes: Buffer[]): Buffer {
  const info = der.sequence(der.integer(0), subject, spkiOf(key), der.explicit(0, ...attributes))
  return der.sequence(info, signatureAlgorithm(key), der.bitString(makeSignature(info, key)))
}
const challenge = (...values: Buffer[]): Buffer => der.sequence(der.oid(OID.challengePassword), der.setOf(...values))

describe('certificate requests', () => {
  it('reads what openssl writes', () => {
    for (const signer of [key, ecKey(), ecKey('P-384')]) {
      const csr = readCsr(opensslCsr(signer))
      expect(csr.subject).toEqual(
        distinguishedName([
          ['O', 'A'],
          ['CN', 'phone'],
        ]),
      )
      expect(csr.spki).toEqual(spkiOf(signer))
      expect(csr.challengePassword).toBeUndefined()
    }
  })

  it('reads what node-forge writes, the challenge among it', () => {
    const request = forge.pki.createCertificationRequest()
    request.publicKey = forge.pki.publicKeyFromPem(keyPemOf(key))
    request.setSubject([{ shortName: 'CN', value: 'forge' }])
    request.setAttributes([{ name: 'challengePassword', value: 's3cret' }])
    request.sign(forge.pki.privateKeyFromPem(keyPem(key)), forge.md.sha1.create())
    const bytes = Buffer.from(forge.asn1.toDer(forge.pki.certificationRequestToAsn1(request)).getBytes(), 'binary')
    expect(readCsr(bytes).challengePassword).toBe('s3cret')
  })

  it('writes what openssl verifies', () => {
    for (const signer of [key, ecKey()]) {
      const csr = createCsr({ subject, key: signer, challengePassword: 'abc-123' })
      const said = withOpenssl({ 'c.der': csr }, (openssl) =>
        openssl('req', '-inform', 'DER', '-in', 'c.der', '-verify', '-noout', '-text').toString(),
      )
      expect(said).toMatch(/challengePassword\s*:abc-123/)
      expect(readCsr(csr).challengePassword).toBe('abc-123')
    }
  })

  it('carries a challenge in any script', () => {
    expect(readCsr(createCsr({ subject, key, challengePassword: 'ключ*' })).challengePassword).toBe('ключ*')
  })

  it('has no use for extensions that the request asks for', () => {
    const csr = readCsr(
      opensslCsr(key, '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'subjectAltName=DNS:mdm.example.org'),
    )
    expect(Object.keys(csr)).toEqual(['der', 'subject', 'spki', 'publicKey'])
  })

  it('refuses a request that its key did not sign', () => {
    const good = createCsr({ subject, key })
    const name = Buffer.from(good)
    name[good.indexOf(der.utf8String('x')) + 2] = 0x79
    const signature = Buffer.from(good)
    signature[good.length - 1]! ^= 1
    expect(reasonOf(() => readCsr(name))).toBe('bad_signature')
    expect(reasonOf(() => readCsr(signature))).toBe('bad_signature')
  })

  it('refuses a signature by another type of key than the request names', () => {
    const info = der.sequence(der.integer(0), subject, spkiOf(key), der.explicit(0))
    const other = ecKey()
    const csr = der.sequence(info, signatureAlgorithm(other), der.bitString(makeSignature(info, other)))
    expect(reasonOf(() => readCsr(csr))).toBe('bad_signature')
  })

  it.each([
    ['RSA of 512 bits', () => rsaKey(512)],
    ['RSA of 1024 bits', () => rsaKey(1024)],
    ['RSA with exponent 3', () => generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).privateKey],
    ['P-192', () => ecKey('prime192v1')],
    ['secp256k1', () => ecKey('secp256k1')],
    ['P-521', () => ecKey('P-521')],
    ['RSA of two close primes', () => createPrivateKey({ key: closePrimesKey(), format: 'jwk' })],
  ])('refuses a weak key: %s', (_, make) => {
    expect(reasonOf(() => readCsr(createCsr({ subject, key: make() })))).toBe('weak_key')
  })

  it('refuses RSA beyond 4096 bits', () => {
    const spki = der.sequence(
      der.sequence(der.oid(OID.rsaEncryption), der.nullValue),
      der.bitString(der.sequence(der.integer(Buffer.alloc(1024, 0xd5)), der.integer(65537))),
    )
    const info = der.sequence(der.integer(0), subject, spki, der.explicit(0))
    const csr = der.sequence(info, signatureAlgorithm(key), der.bitString(Buffer.alloc(1024)))
    expect(['bad_signature', 'weak_key']).toContain(reasonOf(() => readCsr(csr)))
  })

  it('refuses signatures with MD5, RSA-PSS and Ed25519', () => {
    expect(reasonOf(() => readCsr(opensslCsr(key, '-md5')))).toBe('weak_alg')
    expect(reasonOf(() => readCsr(opensslCsr(key, '-sigopt', 'rsa_padding_mode:pss')))).toBe('weak_alg')
    expect(reasonOf(() => readCsr(opensslCsr(generateKeyPairSync('ed25519').privateKey)))).toBe('weak_alg')
  })

  it('refuses a challenge that is there twice, is no text, or is too long', () => {
    const text = der.printableString('a')
    expect(readCsr(withAttributes(challenge(text))).challengePassword).toBe('a')
    expect(reasonOf(() => readCsr(withAttributes(challenge(text), challenge(text))))).toBe('asn1')
    expect(reasonOf(() => readCsr(withAttributes(challenge(text, der.printableString('b')))))).toBe('asn1')
    expect(reasonOf(() => readCsr(withAttributes(challenge(der.integer(1)))))).toBe('asn1')
    expect(reasonOf(() => readCsr(withAttributes(challenge(der.printableString('a'.repeat(1025))))))).toBe('asn1')
  })

  it('refuses what is no request, has bytes after it, or is too large', () => {
    const good = createCsr({ subject, key })
    expect(reasonOf(() => readCsr(Buffer.alloc(0)))).toBe('asn1')
    expect(reasonOf(() => readCsr(Buffer.concat([good, Buffer.alloc(1)])))).toBe('asn1')
    expect(reasonOf(() => readCsr(good.subarray(0, -1)))).toBe('asn1')
    expect(reasonOf(() => readCsr(Buffer.alloc(16 * 1024 + 1)))).toBe('asn1')
  })
})

function keyPemOf(signer: KeyObject): string {
  return withOpenssl({ 'k.pem': keyPem(signer) }, (openssl) => openssl('pkey', '-in', 'k.pem', '-pubout').toString())
}
