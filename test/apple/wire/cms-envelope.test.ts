import { constants, createPublicKey, type KeyObject, publicEncrypt } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { encryptTo, openEnvelope } from '../../../src/apple/wire/cms-envelope.ts'
import * as der from '../../../src/apple/wire/der-writer.ts'
import { WireError } from '../../../src/apple/wire/error.ts'
import { OID } from '../../../src/apple/wire/oids.ts'
import { certificatePem, ecKey, identity, type Identity, keyPem, withOpenssl } from './pki.ts'
import { reasonOf } from './reason-of.ts'

const content = Buffer.from('the certificate request of a device, or a whole profile'.repeat(5))
const ciphers = ['aes-128-cbc', 'aes-256-cbc', 'des-ede3-cbc'] as const
let recipient: Identity
let stranger: Identity

beforeAll(() => {
  recipient = identity('Recipient')
  stranger = identity('Stranger')
})

function opensslEncrypt(...options: string[]): Buffer {
  const files = {
    content,
    'r.pem': certificatePem(recipient.certificate),
    's.pem': certificatePem(stranger.certificate),
  }
  return withOpenssl(files, (openssl) =>
    openssl('cms', '-encrypt', '-binary', '-in', 'content', '-outform', 'DER', ...options),
  )
}

describe('an envelope', () => {
  it.each(ciphers)('is opened by openssl and by us (%s)', (cipher) => {
    const cms = encryptTo(content, recipient.certificate, cipher)
    expect(openEnvelope(cms, recipient)).toEqual({ content, cipher })
    const files = { cms, 'r.pem': certificatePem(recipient.certificate), 'k.pem': keyPem(recipient.key) }
    withOpenssl(files, (openssl) => {
      const opened = openssl(
        'cms',
        '-decrypt',
        '-binary',
        '-inform',
        'DER',
        '-in',
        'cms',
        '-recip',
        'r.pem',
        '-inkey',
        'k.pem',
      )
      expect(opened).toEqual(content)
    })
  })

  it.each([
    ['AES-128', ['-aes128'], 'aes-128-cbc'],
    ['AES-192', ['-aes192'], 'aes-192-cbc'],
    ['AES-256', ['-aes256'], 'aes-256-cbc'],
    ['triple DES', ['-des3'], 'des-ede3-cbc'],
    ['single DES', ['-des', '-provider', 'default', '-provider', 'legacy'], 'des-cbc'],
    ['indefinite lengths', ['-aes256', '-stream'], 'aes-256-cbc'],
    ['a recipient named by key identifier', ['-aes256', '-keyid'], 'aes-256-cbc'],
  ])('of openssl is opened: %s', (_, options, cipher) => {
    expect(openEnvelope(opensslEncrypt(...options, 'r.pem'), recipient)).toEqual({ content, cipher })
  })

  it('of openssl with OAEP is opened, with SHA-1 and with SHA-256', () => {
    const oaep = ['-recip', 'r.pem', '-keyopt', 'rsa_padding_mode:oaep']
    expect(openEnvelope(opensslEncrypt('-aes256', ...oaep), recipient).content).toEqual(content)
    expect(
      openEnvelope(opensslEncrypt('-aes256', ...oaep, '-keyopt', 'rsa_oaep_md:sha256'), recipient).content,
    ).toEqual(content)
  })

  it('with several recipients is opened by each of them', () => {
    const cms = opensslEncrypt('-aes256', 's.pem', 'r.pem')
    expect(openEnvelope(cms, recipient).content).toEqual(content)
    expect(openEnvelope(cms, stranger).content).toEqual(content)
  })

  it('of empty content and of large content comes back', () => {
    for (const size of [0, 15, 16, 100_000]) {
      expect(
        openEnvelope(encryptTo(Buffer.alloc(size, 1), recipient.certificate, 'aes-128-cbc'), recipient).content.length,
      ).toBe(size)
    }
  })

  it('cannot be made for a certificate without an RSA key', () => {
    const { certificate } = identity('EC', { key: ecKey() })
    expect(reasonOf(() => encryptTo(content, certificate, 'aes-256-cbc'))).toBe('weak_alg')
  })
})

describe('an envelope that cannot be opened', () => {
  /** An envelope for the recipient, with any of its parts replaced. */
  function envelope(o: {
    wrapped?: Buffer
    cipher?: string
    iv?: Buffer
    encrypted?: Buffer
    transport?: Buffer
    recipients?: Buffer[]
  }) {
    const fields = [
      der.integer(0),
      der.sequence(recipient.certificate.issuer, der.integer(Buffer.from(recipient.certificate.serialNumber, 'hex'))),
      o.transport ?? der.sequence(der.oid(OID.rsaEncryption), der.nullValue),
      der.octetString(o.wrapped ?? wrapped(createPublicKey(recipient.key), Buffer.alloc(16, 1))),
    ]
    const algorithm = der.sequence(der.oid(o.cipher ?? OID.aes128), der.octetString(o.iv ?? Buffer.alloc(16)))
    const encrypted = der.sequence(der.oid(OID.data), algorithm, der.implicit(0, o.encrypted ?? Buffer.alloc(32)))
    const recipients = der.setOf(...(o.recipients ?? [der.sequence(...fields)]))
    return der.sequence(
      der.oid(OID.envelopedData),
      der.explicit(0, der.sequence(der.integer(0), recipients, encrypted)),
    )
  }
  const wrapped = (key: KeyObject, contentKey: Buffer): Buffer =>
    publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, contentKey)

  it('fails in one way, whatever is wrong', () => {
    const genuine = encryptTo(content, recipient.certificate, 'aes-256-cbc')
    const cutContent = opensslEncrypt('-aes256', 's.pem')
    const wrong = [
      cutContent,
      envelope({}),
      envelope({ wrapped: Buffer.alloc(256, 0xff) }),
      envelope({ wrapped: Buffer.alloc(255, 1) }),
      envelope({ wrapped: Buffer.alloc(0) }),
      envelope({ cipher: '1.2.840.113549.3.4' }),
      envelope({ iv: Buffer.alloc(15) }),
      envelope({ iv: Buffer.alloc(0) }),
      envelope({ encrypted: Buffer.alloc(0) }),
      envelope({ encrypted: Buffer.alloc(17) }),
      envelope({ transport: der.sequence(der.oid('1.2.3.4')) }),
      envelope({ transport: der.sequence(der.oid(OID.rsaOaep)) }),
      envelope({ recipients: [] }),
      envelope({ recipients: [der.explicit(1), der.sequence()] }),
    ]
    const errors = wrong.map((cms) => errorOf(() => openEnvelope(cms, recipient)))
    expect(new Set(errors.map(({ reason, message }) => `${reason}|${message}`))).toEqual(new Set(['envelope|envelope']))
    expect(errorOf(() => openEnvelope(genuine, stranger)).message).toBe('envelope')
    expect(errorOf(() => openEnvelope(genuine, { ...recipient, key: ecKey() })).message).toBe('envelope')
  })

  it('with a key for somebody else gives the same error or noise, never the content', () => {
    const wrong = envelope({ wrapped: wrapped(createPublicKey(stranger.key), Buffer.alloc(16, 1)) })
    // The random key that takes its place makes valid padding once in 256 times.
    const outcomes = Array.from({ length: 5 }, () =>
      outcomeOf(() => openEnvelope(wrong, recipient).content.toString('hex')),
    )
    expect(outcomes.filter((outcome) => outcome === 'envelope').length).toBeGreaterThan(0)
    for (const outcome of outcomes) expect(outcome === 'envelope' || /^[0-9a-f]{0,62}$/.test(outcome)).toBe(true)
  })

  it('is told from what is no envelope at all', () => {
    const genuine = encryptTo(content, recipient.certificate, 'aes-256-cbc')
    expect(reasonOf(() => openEnvelope(Buffer.alloc(0), recipient))).toBe('asn1')
    expect(reasonOf(() => openEnvelope(recipient.certificate.der, recipient))).toBe('asn1')
    expect(reasonOf(() => openEnvelope(genuine.subarray(0, -1), recipient))).toBe('asn1')
    expect(reasonOf(() => openEnvelope(Buffer.from('3080'.repeat(10_000), 'hex'), recipient))).toBe('asn1')
    expect(
      reasonOf(() =>
        openEnvelope(envelope({ recipients: Array.from({ length: 17 }, () => der.sequence()) }), recipient),
      ),
    ).toBe('asn1')
  })
})

function outcomeOf(act: () => string): string {
  try {
    return act()
  } catch (error) {
    return (error as WireError).reason
  }
}

function errorOf(act: () => unknown): WireError {
  try {
    act()
  } catch (error) {
    if (error instanceof WireError) return error
    throw error
  }
  throw new Error('was accepted')
}
