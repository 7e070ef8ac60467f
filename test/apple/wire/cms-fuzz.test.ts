import { beforeAll, describe, expect, it } from 'vitest'
import { verifyAttached, verifyDetached } from '../../../src/apple/wire/cms.ts'
import { encryptTo, openEnvelope } from '../../../src/apple/wire/cms-envelope.ts'
import { signAttached, signDetached, signDetachedLikeIos } from '../../../src/apple/wire/cms-sign.ts'
import { createCsr, readCsr } from '../../../src/apple/wire/csr.ts'
import { WireError } from '../../../src/apple/wire/error.ts'
import { pkcsReq, readCertRep } from '../../../src/apple/wire/scep-client.ts'
import { openPkiMessage, readPkiMessage, successRep } from '../../../src/apple/wire/scep.ts'
import { distinguishedName, isSignedBy, readCertificate } from '../../../src/apple/wire/x509.ts'
import { mutate } from './der-mutator.ts'
import { ecKey, identity, type Identity } from './pki.ts'
import { seeded } from './plist-generator.ts'

const body = Buffer.from('<plist version="1.0"><dict><key>Status</key><string>Idle</string></dict></plist>')
let phone: Identity
let ec: Identity
let ra: Identity
let csr: Buffer

beforeAll(() => {
  phone = identity('phone')
  ec = identity('ec', { key: ecKey() })
  ra = identity('ra', { profile: 'ra' })
  csr = createCsr({ subject: distinguishedName([['CN', 'phone']]), key: phone.key, challengePassword: 'once' })
})

/** Reads `count` mutants of a message and counts what became of them. Only a WireError may refuse one. */
function fuzz(seed: number, message: Buffer, count: number, read: (mutant: Buffer) => unknown): Map<string, number> {
  const random = seeded(seed)
  const outcomes = new Map<string, number>()
  for (let i = 0; i < count; i++) {
    const mutant = mutate(random, message)
    const outcome = outcomeOf(() => read(mutant), mutant)
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }
  return outcomes
}

function outcomeOf(read: () => unknown, mutant: Buffer): string {
  try {
    read()
    return 'accepted'
  } catch (error) {
    if (error instanceof WireError) return error.reason
    throw new Error(`not a WireError for ${mutant.toString('hex')}`, { cause: error })
  }
}

describe('mutated messages', () => {
  it('of an iPhone are refused with a WireError, or name a certificate whose key did sign', () => {
    const outcomes = fuzz(1, signDetachedLikeIos(body, phone), 3000, (mutant) => {
      const { certificate } = verifyDetached(mutant, body)
      // Bytes of the certificate that are not the key may change: the fingerprint then tells.
      expect(certificate.publicKey.equals(phone.certificate.publicKey)).toBe(true)
    })
    expect(outcomes.get('asn1')).toBeGreaterThan(200)
    expect(outcomes.get('bad_signature')).toBeGreaterThan(5)
  })

  it('with attributes and elliptic curves are refused likewise', () => {
    const outcomes = fuzz(2, signDetached(body, ec), 1500, (mutant) => verifyDetached(mutant, body))
    expect(outcomes.get('asn1')).toBeGreaterThan(200)
    expect(outcomes.get('cms_shape')).toBeGreaterThan(5)
  })

  it('with content inside never yield other content', () => {
    const outcomes = fuzz(3, signAttached(body, phone), 1500, (mutant) =>
      expect(verifyAttached(mutant).content).toEqual(body),
    )
    expect(outcomes.get('digest_mismatch')).toBeGreaterThan(5)
  })

  it('of SCEP clients are refused with a WireError', () => {
    const request = pkcsReq({ csr, signer: phone, recipient: ra.certificate, messageType: '19', transactionId: 'T' })
    const outcomes = fuzz(4, request, 1000, (mutant) => openPkiMessage(readPkiMessage(mutant), ra))
    expect(outcomes.get('asn1')).toBeGreaterThan(200)
  })

  it('of the SCEP server are refused with a WireError', () => {
    const message = readPkiMessage(
      pkcsReq({ csr, signer: phone, recipient: ra.certificate, messageType: '19', transactionId: 'T' }),
    )
    const answer = successRep(message, phone.certificate, { ra, chain: [], cipher: 'aes-128-cbc' })
    const outcomes = fuzz(5, answer, 800, (mutant) => readCertRep(mutant, phone))
    expect(outcomes.get('asn1')).toBeGreaterThan(200)
  })

  it('inside an envelope, and envelopes themselves, are refused with a WireError', () => {
    const envelope = encryptTo(csr, ra.certificate, 'aes-256-cbc')
    const outcomes = fuzz(6, envelope, 500, (mutant) => readCsr(openEnvelope(mutant, ra).content))
    expect(outcomes.get('envelope')).toBeGreaterThan(5)
    expect(outcomes.has('accepted')).toBe(true)
  })

  it('of requests and certificates are refused with a WireError, or still verify', () => {
    const requests = fuzz(7, csr, 1200, (mutant) => expect(readCsr(mutant).spki.length).toBeGreaterThan(0))
    const certificates = fuzz(8, phone.certificate.der, 1500, (mutant) => {
      const certificate = readCertificate(mutant)
      if (isSignedBy(certificate, phone.certificate)) expect(certificate.subject).toEqual(phone.certificate.subject)
      return certificate.publicKey
    })
    expect(requests.get('bad_signature')).toBeGreaterThan(5)
    expect(certificates.get('asn1')).toBeGreaterThan(200)
  })
})
