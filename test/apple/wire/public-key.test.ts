import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { publicKeyProblem, readCertificate } from '../../../src/apple/wire/x509.ts'
import { ecKey, keyPem, rsaKey, withOpenssl } from './pki.ts'
import { reasonOf } from './reason-of.ts'

describe('kinds of key', () => {
  const rsa = (modulusLength: number, publicExponent: number) =>
    generateKeyPairSync('rsa', { modulusLength, publicExponent }).publicKey
  it('trusts RSA from 2048 bits, P-256 and P-384', () => {
    for (const key of [rsaKey(), ecKey(), ecKey('P-384')])
      expect(publicKeyProblem(createPublicKey(key))).toBeUndefined()
  })

  it('says why it does not trust others', () => {
    expect(publicKeyProblem(rsa(1024, 65537))).toBe('RSA key of 1024 bits')
    expect(publicKeyProblem(rsa(1024, 65537), 1024)).toBeUndefined()
    expect(publicKeyProblem(rsa(2048, 3))).toBe('RSA exponent 3')
    expect(publicKeyProblem(createPublicKey(ecKey('secp256k1')))).toBe('curve secp256k1')
    expect(publicKeyProblem(createPublicKey(ecKey('P-521')))).toBe('curve secp521r1')
    expect(publicKeyProblem(generateKeyPairSync('ed25519').publicKey)).toBe('key type ed25519')
    expect(publicKeyProblem(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey)).toBe('key type rsa-pss')
  })

  it('refuses the key of a certificate that is neither RSA nor EC', () => {
    const { privateKey } = generateKeyPairSync('ed25519')
    const made = withOpenssl({ 'k.pem': keyPem(privateKey) }, (openssl) =>
      openssl('req', '-x509', '-new', '-key', 'k.pem', '-subj', '/CN=x', '-days', '9', '-outform', 'DER'),
    )
    expect(reasonOf(() => readCertificate(made).publicKey)).toBe('weak_alg')
  })
})
