import { randomBytes } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { verifyAttached } from '../../../src/apple/wire/cms.ts'
import { openEnvelope } from '../../../src/apple/wire/cms-envelope.ts'
import { signAttached } from '../../../src/apple/wire/cms-sign.ts'
import { createCsr } from '../../../src/apple/wire/csr.ts'
import * as der from '../../../src/apple/wire/der-writer.ts'
import { OID } from '../../../src/apple/wire/oids.ts'
import { pkcsReq, readCertRep } from '../../../src/apple/wire/scep-client.ts'
import {
  caCapabilities,
  certsOnly,
  failureRep,
  openPkiMessage,
  type PkiMessage,
  readPkiMessage,
  successRep,
} from '../../../src/apple/wire/scep.ts'
import { oneValue, readSignedData } from '../../../src/apple/wire/signed-data.ts'
import { issueCertificate } from '../../../src/apple/wire/x509-issue.ts'
import { type Certificate, distinguishedName, readCertificate } from '../../../src/apple/wire/x509.ts'
import { certificatePem, ecKey, identity, type Identity, notAfter, notBefore, withOpenssl } from './pki.ts'
import { reasonOf } from './reason-of.ts'

const senderNonce = randomBytes(16)
let ca: Identity
let ra: Identity
let phone: Identity
let csr: Buffer

beforeAll(() => {
  ca = identity('CA', { profile: 'ca' })
  ra = identity('RA', { issuer: ca, profile: 'ra' })
  phone = identity('phone')
  csr = createCsr({ subject: distinguishedName([['CN', 'phone']]), key: phone.key, challengePassword: 'once' })
})

const request = (o: Partial<Parameters<typeof pkcsReq>[0]> = {}): Buffer =>
  pkcsReq({
    csr,
    signer: phone,
    recipient: ra.certificate,
    messageType: '19',
    transactionId: 'T-1',
    senderNonce,
    ...o,
  })

/** A request in single DES, as old clients send it and as nothing of ours is able to. */
function desRequest(): Buffer {
  const files = { csr, 'ra.pem': certificatePem(ra.certificate) }
  const legacy = ['-provider', 'default', '-provider', 'legacy']
  const envelope = withOpenssl(files, (openssl) =>
    openssl('cms', '-encrypt', '-binary', '-in', 'csr', '-outform', 'DER', '-des', ...legacy, 'ra.pem'),
  )
  return signed(envelope)
}

/** A PKIOperation over this content with these attributes instead of the usual ones. */
function signed(content: Buffer, change: Partial<Record<string, Buffer | undefined>> = {}): Buffer {
  const usual = {
    [OID.messageType]: der.printableString('19'),
    [OID.transactionId]: der.printableString('T-1'),
    [OID.senderNonce]: der.octetString(senderNonce),
  }
  const attributes = Object.entries({ ...usual, ...change }).filter(
    (entry): entry is [string, Buffer] => entry[1] !== undefined,
  )
  return signAttached(content, phone, { attributes })
}

function issueFor(message: PkiMessage): Certificate {
  const opened = openPkiMessage(message, ra)
  const template = {
    subject: distinguishedName([['CN', 'ours']]),
    serialNumber: Buffer.alloc(16, 3),
    notBefore,
    notAfter,
  }
  return readCertificate(issueCertificate({ ...template, spki: opened.csr.spki, issuer: ca, profile: 'device' }))
}

describe('SCEP', () => {
  it.each(['aes-128-cbc', 'aes-256-cbc', 'des-ede3-cbc', 'des-cbc'] as const)(
    'enrolls a client that uses %s',
    (cipher) => {
      const message = readPkiMessage(cipher === 'des-cbc' ? desRequest() : request({ cipher }))
      const opened = openPkiMessage(message, ra)
      expect(opened.cipher).toBe(cipher)
      expect(opened.csr.challengePassword).toBe('once')
      expect(opened.csr.spki.equals(message.signer.spki)).toBe(true)
      const issued = issueFor(message)
      const body = successRep(message, issued, { ra, chain: [ca.certificate], cipher: opened.cipher })
      const answer = readCertRep(body, phone)
      expect(answer).toMatchObject({ status: 'success', transactionId: 'T-1', recipientNonce: senderNonce })
      expect(answer.certificate?.der).toEqual(issued.der)
      expect(answer.signer.sha256).toEqual(ra.certificate.sha256)
      const replied = openEnvelope(verifyAttached(body).content, phone)
      expect(replied.cipher).toBe(cipher === 'des-cbc' ? 'des-ede3-cbc' : cipher)
      expect(readSignedData(replied.content).certificates).toEqual([issued.der, ca.certificate.der])
    },
  )

  it('answers AES-192 in AES-256', () => {
    const message = readPkiMessage(request())
    const body = successRep(message, phone.certificate, { ra, chain: [], cipher: 'aes-192-cbc' })
    expect(openEnvelope(verifyAttached(body).content, phone).cipher).toBe('aes-256-cbc')
  })

  it('reads a renewal signed by the identity in use', () => {
    const current = identity('current', { issuer: ca })
    const renewed = createCsr({ subject: distinguishedName([['CN', 'x']]), key: phone.key })
    const message = readPkiMessage(request({ csr: renewed, signer: current, messageType: '17' }))
    expect(message.messageType).toBe('17')
    expect(message.signer.sha256).toEqual(current.certificate.sha256)
    expect(openPkiMessage(message, ra).csr.spki.equals(message.signer.spki)).toBe(false)
  })

  it('tells a client why it was refused', () => {
    const message = readPkiMessage(request())
    for (const failInfo of [0, 1, 2, 3, 4] as const) {
      const answer = readCertRep(failureRep(message, failInfo, ra), phone)
      expect(answer).toMatchObject({
        status: 'failure',
        failInfo: String(failInfo),
        transactionId: 'T-1',
        recipientNonce: senderNonce,
      })
      expect('certificate' in answer).toBe(false)
    }
  })

  it('writes answers that openssl verifies up to the CA, with the attributes of RFC 8894', () => {
    const message = readPkiMessage(request())
    const cms = successRep(message, issueFor(message), { ra, chain: [ca.certificate], cipher: 'aes-256-cbc' })
    const verified = withOpenssl({ cms, 'ca.pem': certificatePem(ca.certificate) }, (openssl) =>
      openssl('cms', '-verify', '-binary', '-inform', 'DER', '-in', 'cms', '-CAfile', 'ca.pem', '-purpose', 'any'),
    )
    const { attributes } = verifyAttached(cms)
    expect(verified).toEqual(verifyAttached(cms).content)
    expect(oneValue(attributes, OID.messageType).tag).toBe(0x13)
    expect(oneValue(attributes, OID.pkiStatus).tag).toBe(0x13)
    expect(attributes.has(OID.failInfo)).toBe(false)
    expect(oneValue(attributes, OID.senderNonce).end - oneValue(attributes, OID.senderNonce).body).toBe(16)
  })

  it('does not offer single DES or MD5', () => {
    const capabilities = caCapabilities().trimEnd().split('\n')
    expect(capabilities).toEqual(['Renewal', 'SHA-256', 'AES', 'SCEPStandard', 'POSTPKIOperation', 'DES3', 'SHA-1'])
  })

  it('hands out the CA and the RA in one message', () => {
    expect(readSignedData(certsOnly([ra.certificate, ca.certificate])).certificates).toEqual([
      ra.certificate.der,
      ca.certificate.der,
    ])
  })

  it('cannot answer a signer without an RSA key', () => {
    const ec = identity('EC', { key: ecKey() })
    const message = readPkiMessage(request({ signer: ec }))
    expect(reasonOf(() => successRep(message, ec.certificate, { ra, chain: [], cipher: 'aes-256-cbc' }))).toBe(
      'weak_alg',
    )
    expect(readCertRep(failureRep(message, 0, ra), phone).status).toBe('failure')
  })
})
