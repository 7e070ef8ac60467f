import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { encodePem, writeCertificatePem } from '../../src/apple/wire/pem.ts'
import { issueCertificate } from '../../src/apple/wire/x509-issue.ts'
import { distinguishedName } from '../../src/apple/wire/x509-name.ts'
import { readDeviceCas } from '../../src/base/device-cas.ts'

const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
function pem(profile: 'ca' | 'device', signer = key): string {
  const spki = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'der', type: 'spki' })
  return writeCertificatePem(issueCertificate({
    subject: distinguishedName([['CN', 'x']]), spki, serialNumber: randomBytes(16), notBefore: new Date(0), notAfter: new Date(1e12),
    issuer: { selfSigned: signer }, profile,
  }))
}

describe('readDeviceCas', () => {
  it('reads every CA of the file, in order', () => {
    const [one, two] = [pem('ca'), pem('ca')]
    expect(readDeviceCas(`a comment\n${one}\n${two}`).map(({ der }) => writeCertificatePem(der))).toEqual([one, two])
  })

  it.each([
    ['a file without PEM', 'hello', 'holds no readable PEM certificates'],
    ['a broken certificate', encodePem('CERTIFICATE', Buffer.from('hello')), 'holds no readable PEM certificates'],
    ['a private key', pem('ca') + encodePem('PRIVATE KEY', Buffer.from('x')), 'holds a PRIVATE KEY, and only certificates belong there'],
    ['a certificate that is no CA', pem('ca') + pem('device'), 'certificate 2 is no CA'],
  ])('refuses %s', (_name, text, message) => {
    expect(() => readDeviceCas(text)).toThrow(new Error(message))
  })
})
