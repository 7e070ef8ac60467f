import forge from 'node-forge'
import { beforeAll, describe, expect, it } from 'vitest'
import { verifyAttached, verifyDetached } from '../../../src/apple/wire/cms.ts'
import { certificatesOnly, signAttached, signDetached, signDetachedLikeIos } from '../../../src/apple/wire/cms-sign.ts'
import { timeOf } from '../../../src/apple/wire/der-types.ts'
import * as der from '../../../src/apple/wire/der-writer.ts'
import { OID } from '../../../src/apple/wire/oids.ts'
import { oneValue, readSignedData } from '../../../src/apple/wire/signed-data.ts'
import { readCertificate } from '../../../src/apple/wire/x509.ts'
import { certificatePem, ecKey, identity, type Identity, withOpenssl } from './pki.ts'

const content = Buffer.from('<plist version="1.0"><dict/></plist>\r\n')
let ca: Identity
let signers: Identity[]

beforeAll(() => {
  ca = identity('CA', { profile: 'ca' })
  signers = [
    identity('RSA', { issuer: ca }),
    identity('EC', { issuer: ca, key: ecKey() }),
    identity('EC', { issuer: ca, key: ecKey('P-384') }),
  ]
})

describe('signing', () => {
  it('writes what openssl verifies up to the CA', () => {
    for (const signer of signers) {
      const files = { cms: signAttached(content, signer), detached: signDetached(content, signer), content }
      withOpenssl({ ...files, 'ca.pem': certificatePem(ca.certificate) }, (openssl) => {
        const verify = ['cms', '-verify', '-binary', '-inform', 'DER', '-CAfile', 'ca.pem', '-purpose', 'any', '-in']
        expect(openssl(...verify, 'cms')).toEqual(content)
        expect(openssl(...verify, 'detached', '-content', 'content')).toEqual(content)
      })
    }
  })

  it('writes what node-forge reads', () => {
    const message = forge.pkcs7.messageFromAsn1(
      forge.asn1.fromDer(signAttached(content, signers[0]!).toString('binary')),
    )
    const [certificate] = (message as forge.pkcs7.PkcsSignedData).certificates
    expect(certificate?.subject.getField('CN').value).toBe('RSA')
  })

  it('carries the chain behind the signer', () => {
    const cms = signAttached(content, signers[0]!, { chain: [ca.certificate] })
    expect(readSignedData(cms).certificates).toEqual([signers[0]!.certificate.der, ca.certificate.der])
  })

  it('signs the time and the attributes it was given', () => {
    const signingTime = new Date('2030-05-06T07:08:09Z')
    const attributes: [string, Buffer][] = [[OID.transactionId, der.printableString('t')]]
    const { attributes: read } = verifyAttached(signAttached(content, signers[0]!, { signingTime, attributes }))
    expect(timeOf(oneValue(read, OID.signingTime))).toEqual(signingTime)
    expect([...read.keys()].toSorted()).toEqual(
      [OID.contentType, OID.messageDigest, OID.signingTime, OID.transactionId].toSorted(),
    )
    expect(verifyAttached(signAttached(content, signers[0]!)).attributes.has(OID.signingTime)).toBe(false)
  })

  it('carries large and empty content', () => {
    for (const size of [0, 1, 127, 128, 65_536, 300_000]) {
      expect(verifyAttached(signAttached(Buffer.alloc(size, 7), signers[0]!)).content.length).toBe(size)
    }
  })
})

describe('the signature of an iPhone', () => {
  it('has indefinite lengths, SHA-1 with RSA, no attributes and no content', () => {
    const cms = signDetachedLikeIos(content, signers[0]!)
    const shape = withOpenssl({ cms }, (openssl) => openssl('asn1parse', '-inform', 'DER', '-in', 'cms').toString())
    expect(shape.match(/l=inf/g)).toHaveLength(4)
    expect(shape).toContain('sha1WithRSAEncryption')
    expect(shape).not.toContain('contentType')
    expect(verifyDetached(cms, content).digest).toBe('sha1')
  })
})

describe('a message of certificates only', () => {
  it('is read by openssl, in its order', () => {
    const cms = certificatesOnly([signers[0]!.certificate, ca.certificate])
    const printed = withOpenssl({ cms }, (openssl) =>
      openssl('pkcs7', '-inform', 'DER', '-in', 'cms', '-print_certs').toString(),
    )
    expect(printed.match(/^subject=.*$/gm)).toEqual([
      'subject=O = Bramley test, CN = RSA',
      'subject=O = Bramley test, CN = CA',
    ])
    expect(readSignedData(cms).certificates.map((certificate) => readCertificate(certificate).commonName)).toEqual([
      'RSA',
      'CA',
    ])
  })
})
