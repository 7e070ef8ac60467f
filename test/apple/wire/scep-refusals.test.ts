import { randomBytes } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { signAttached } from '../../../src/apple/wire/cms-sign.ts'
import { createCsr } from '../../../src/apple/wire/csr.ts'
import * as der from '../../../src/apple/wire/der-writer.ts'
import { OID } from '../../../src/apple/wire/oids.ts'
import { pkcsReq, readCertRep } from '../../../src/apple/wire/scep-client.ts'
import { certsOnly, openPkiMessage, readPkiMessage, successRep } from '../../../src/apple/wire/scep.ts'
import { distinguishedName } from '../../../src/apple/wire/x509.ts'
import { identity, type Identity, rsaKey } from './pki.ts'
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

describe('a PKIOperation that is refused', () => {
  const envelope = Buffer.from('3000', 'hex')

  it.each([
    ['without a messageType', { [OID.messageType]: undefined }],
    ['without a transactionID', { [OID.transactionId]: undefined }],
    ['without a senderNonce', { [OID.senderNonce]: undefined }],
    ['with a messageType that is no number', { [OID.messageType]: der.printableString('PKCSReq') }],
    ['with an empty messageType', { [OID.messageType]: der.printableString('') }],
    ['with a messageType of four digits', { [OID.messageType]: der.printableString('1919') }],
    ['with a messageType that is no text', { [OID.messageType]: der.integer(19) }],
    ['with an empty transactionID', { [OID.transactionId]: der.printableString('') }],
    ['with a transactionID of 256 characters', { [OID.transactionId]: der.printableString('t'.repeat(256)) }],
    ['with a line break in the transactionID', { [OID.transactionId]: der.utf8String('a\nb') }],
    ['with a NUL in the transactionID', { [OID.transactionId]: der.utf8String('a\0b') }],
    ['with a transactionID beyond ASCII', { [OID.transactionId]: der.utf8String('ä') }],
    ['with an empty senderNonce', { [OID.senderNonce]: der.octetString(Buffer.alloc(0)) }],
    ['with a senderNonce of 65 bytes', { [OID.senderNonce]: der.octetString(Buffer.alloc(65)) }],
  ])('%s', (_, change) => {
    expect(reasonOf(() => readPkiMessage(signed(envelope, change)))).toBe('scep_shape')
  })

  it('with a senderNonce that is text', () => {
    expect(reasonOf(() => readPkiMessage(signed(envelope, { [OID.senderNonce]: der.utf8String('x') })))).toBe('asn1')
  })

  it('without an envelope, without a signature, or with a broken one', () => {
    const good = request()
    const changed = Buffer.from(good)
    changed[good.length - 1]! ^= 1
    expect(reasonOf(() => readPkiMessage(signed(Buffer.alloc(0))))).toBe('scep_shape')
    expect(reasonOf(() => readPkiMessage(certsOnly([phone.certificate])))).toBe('cms_shape')
    expect(reasonOf(() => readPkiMessage(changed))).toBe('bad_signature')
    expect(reasonOf(() => readPkiMessage(Buffer.alloc(100_000, 0x30)))).toBe('asn1')
    expect(reasonOf(() => readPkiMessage(request({ signer: identity('weak', { key: rsaKey(1024) }) })))).toBe(
      'weak_alg',
    )
  })

  it('accepts any messageType and the longest transactionID, for the reader to judge', () => {
    const transactionId = der.printableString('t'.repeat(255))
    const message = readPkiMessage(
      signed(envelope, { [OID.messageType]: der.printableString('99'), [OID.transactionId]: transactionId }),
    )
    expect(message).toMatchObject({ messageType: '99', transactionId: 't'.repeat(255) })
  })
})

describe('an envelope in a PKIOperation', () => {
  const open = (o: Partial<Parameters<typeof pkcsReq>[0]>) => () => openPkiMessage(readPkiMessage(request(o)), ra)

  it('is refused in one way, whatever is inside that its sender did not sign', () => {
    const broken = Buffer.from(csr)
    broken[csr.length - 1]! ^= 1
    const inside = [
      Buffer.alloc(0),
      Buffer.from('hello'),
      csr.subarray(0, -1),
      Buffer.concat([csr, Buffer.alloc(1)]),
      broken,
    ]
    for (const content of inside) expect(reasonOf(open({ csr: content }))).toBe('envelope')
    expect(reasonOf(open({ recipient: identity('other RA').certificate }))).toBe('envelope')
    expect(reasonOf(() => openPkiMessage(readPkiMessage(signed(Buffer.from('3000', 'hex'))), ra))).toBe('asn1')
  })

  it('says that the key is weak once the request is known to be genuine', () => {
    const weak = createCsr({ subject: distinguishedName([['CN', 'x']]), key: rsaKey(1024) })
    expect(reasonOf(open({ csr: weak }))).toBe('weak_key')
  })
})

describe('the answer to a client', () => {
  it('is refused when it is for another key, or is no answer', () => {
    const message = readPkiMessage(request())
    const body = successRep(message, phone.certificate, { ra, chain: [], cipher: 'aes-256-cbc' })
    expect(reasonOf(() => readCertRep(body, ra))).toBe('envelope')
    expect(reasonOf(() => readCertRep(request(), phone))).toBe('scep_shape')
    expect(
      reasonOf(() => readCertRep(signed(Buffer.alloc(0), { [OID.messageType]: der.printableString('3') }), phone)),
    ).toBe('scep_shape')
  })

  it('may be that the client has to wait', () => {
    const pending = {
      [OID.messageType]: der.printableString('3'),
      [OID.pkiStatus]: der.printableString('3'),
      [OID.recipientNonce]: der.octetString(senderNonce),
    }
    expect(readCertRep(signed(Buffer.alloc(0), pending), phone).status).toBe('pending')
  })
})
