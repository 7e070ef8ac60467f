import { createPrivateKey, type KeyObject } from 'node:crypto'
import forge from 'node-forge'
import { beforeAll, describe, expect, it } from 'vitest'
import { WireError } from '../../../src/apple/wire/error.ts'
import { encodePem } from '../../../src/apple/wire/pem.ts'
import { type PushCertificateInput, readPushCertificate } from '../../../src/apple/wire/push-certificate.ts'
import { certificatePem, ecKey, identity, type Identity, keyPem, rsaKey, withOpenssl } from './pki.ts'

const topic = 'com.apple.mgmt.External.3c6d1c6c-1111-4222-8333-444455556666'
let apple: Identity
let push: Identity
let key: KeyObject

beforeAll(() => {
  key = rsaKey()
  apple = identity('Apple Application Integration 2 Certification Authority', { profile: 'ca' })
  push = pushLike([
    ['UID', topic],
    ['CN', 'APSP:3c6d1c6c'],
    ['C', 'US'],
  ])
})

const pushLike = (parts: [string, string][], profile: 'client' | 'ca' = 'client'): Identity =>
  identity('', { key, issuer: apple, profile, parts })

const pemOf = ({ certificate }: Identity): string => certificatePem(certificate)

async function reasonOf(input: PushCertificateInput): Promise<string> {
  try {
    await readPushCertificate(input)
  } catch (error) {
    if (error instanceof WireError) return error.reason
    throw error
  }
  return 'accepted'
}

async function expectPush(input: PushCertificateInput, chain: Identity[] = []): Promise<void> {
  const read = await readPushCertificate(input)
  expect(read.topic).toBe(topic)
  expect(read.certificate.der).toEqual(push.certificate.der)
  expect(read.key.equals(key)).toBe(true)
  expect(read.chain.map(({ der }) => der)).toEqual(chain.map(({ certificate }) => certificate.der))
}

describe('a push certificate in PEM', () => {
  it('is read in any order, with or without its chain', async () => {
    const blocks = [pemOf(push), keyPem(key), pemOf(apple)]
    await expectPush({ pem: blocks.slice(0, 2).join('') })
    await expectPush({ pem: blocks.toReversed().join('') }, [apple])
    await expectPush({ pem: [blocks[2], blocks[0], blocks[1]].join('\n\n') }, [apple])
  })

  it('is read when blocks run together and lines are lost', async () => {
    await expectPush({ pem: (pemOf(push) + keyPem(key)).replaceAll('\n', '') })
    await expectPush({ pem: pemOf(push).trimEnd() + keyPem(key).trimEnd() })
  })

  it('is read from two files', async () => {
    await expectPush({ certificatePem: pemOf(push), keyPem: keyPem(key) })
    await expectPush({ certificatePem: pemOf(push) + pemOf(apple), keyPem: keyPem(key) }, [apple])
  })

  it('is read with a key of the old forms', async () => {
    const pkcs1 = key.export({ format: 'pem', type: 'pkcs1' }).toString()
    await expectPush({ pem: pemOf(push) + pkcs1 })
  })

  it('is read with an encrypted key of both forms', async () => {
    const modern = key.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'pw' }).toString()
    const old = withOpenssl({ 'k.pem': keyPem(key) }, (openssl) =>
      openssl('rsa', '-in', 'k.pem', '-traditional', '-des3', '-passout', 'pass:pw').toString(),
    )
    expect(old).toContain('DEK-Info')
    for (const keyPem of [modern, old]) {
      const certificatePem = pemOf(push)
      await expectPush({ certificatePem, keyPem, keyPassphrase: 'pw' })
      expect(await reasonOf({ certificatePem, keyPem, keyPassphrase: 'wrong' })).toBe('bad_password')
      expect(await reasonOf({ certificatePem, keyPem })).toBe('bad_password')
      expect(await reasonOf({ pem: certificatePem + keyPem })).toBe('bad_password')
    }
  })
})

describe('what is uploaded instead', () => {
  it.each<[string, string, () => PushCertificateInput]>([
    ['nothing', 'not_pem', () => ({})],
    ['an empty text', 'not_pem', () => ({ pem: '' })],
    ['a DER file', 'not_pem', () => ({ pem: push.certificate.der.toString('latin1') })],
    [
      'the request sent to Apple',
      'no_certificate',
      () => ({ pem: encodePem('CERTIFICATE REQUEST', Buffer.from('3000', 'hex')) }),
    ],
    ['a key alone', 'no_certificate', () => ({ pem: keyPem(key) })],
    ['a certificate alone', 'no_key', () => ({ pem: pemOf(push) })],
    ['a broken key', 'no_key', () => ({ pem: pemOf(push) + encodePem('PRIVATE KEY', Buffer.from('hello')) })],
    [
      'a certificate that is none',
      'asn1',
      () => ({ pem: encodePem('CERTIFICATE', Buffer.from('hello')) + keyPem(key) }),
    ],
    ['another key', 'key_mismatch', () => ({ pem: pemOf(push) + keyPem(ecKey()) })],
    ['the vendor certificate', 'vendor_certificate', () => ({ pem: pemOf(vendor()) + keyPem(key) })],
    ['the vendor certificate without its key', 'vendor_certificate', () => ({ pem: pemOf(vendor()) })],
    [
      'the vendor certificate with its chain',
      'vendor_certificate',
      () => ({ pem: pemOf(apple) + pemOf(vendor()) + keyPem(key) }),
    ],
    ['a certificate without a topic', 'no_topic', () => ({ pem: pemOf(pushLike([['CN', 'x']])) + keyPem(key) })],
    [
      'the push certificate of an app',
      'wrong_topic_prefix',
      () => ({ pem: pemOf(pushLike([['UID', 'org.example.app']])) + keyPem(key) }),
    ],
    [
      'a topic that only looks like one',
      'wrong_topic_prefix',
      () => ({
        pem: pemOf(pushLike([['UID', 'xcom.apple.mgmt.External.1']])) + keyPem(key),
      }),
    ],
  ])('is refused with a reason: %s (%s)', async (_, reason, make) => {
    expect(await reasonOf(make())).toBe(reason)
  })

  const vendor = (): Identity =>
    pushLike([
      ['CN', 'MDM Vendor: Example GmbH'],
      ['O', 'Example GmbH'],
    ])
})

describe('a push certificate in PKCS#12', () => {
  function opensslP12(...options: string[]): Buffer {
    const files = { 'c.pem': pemOf(push), 'k.pem': keyPem(key), 'ca.pem': pemOf(apple) }
    return withOpenssl(files, (openssl) =>
      openssl(
        'pkcs12',
        '-export',
        '-inkey',
        'k.pem',
        '-in',
        'c.pem',
        '-certfile',
        'ca.pem',
        '-passout',
        'pass:pw',
        ...options,
      ),
    )
  }

  it.each([
    ['as openssl writes it today', []],
    ['with RC2 and triple DES, as macOS writes it', ['-legacy']],
    ['with triple DES alone', ['-keypbe', 'PBE-SHA1-3DES', '-certpbe', 'PBE-SHA1-3DES', '-macalg', 'sha1']],
    ['with the certificates in the clear', ['-certpbe', 'NONE']],
    ['with nothing encrypted', ['-certpbe', 'NONE', '-keypbe', 'NONE']],
  ])('is read, byte for byte: %s', async (_, options) => {
    await expectPush({ p12: opensslP12(...options), password: 'pw' }, [apple])
  })

  it('is read as node-forge writes it', async () => {
    const certificate = forge.pki.certificateFromPem(pemOf(push))
    const p12 = forge.pkcs12.toPkcs12Asn1(forge.pki.privateKeyFromPem(keyPem(key)), certificate, 'pw', {
      algorithm: '3des',
    })
    await expectPush({ p12: Buffer.from(forge.asn1.toDer(p12).getBytes(), 'binary'), password: 'pw' })
  })

  it('with an EC key is read too', async () => {
    const ec = identity('', { key: ecKey(), parts: [['UID', topic]] })
    const p12 = withOpenssl({ 'c.pem': pemOf(ec), 'k.pem': keyPem(ec.key) }, (openssl) =>
      openssl('pkcs12', '-export', '-inkey', 'k.pem', '-in', 'c.pem', '-passout', 'pass:pw'),
    )
    const read = await readPushCertificate({ p12, password: 'pw' })
    expect(read.certificate.der).toEqual(ec.certificate.der)
    expect(createPrivateKey(keyPem(ec.key)).equals(read.key)).toBe(true)
  })

  it('needs its password', async () => {
    for (const options of [[], ['-legacy']]) {
      expect(await reasonOf({ p12: opensslP12(...options), password: 'wrong' })).toBe('bad_password')
      expect(await reasonOf({ p12: opensslP12(...options), password: '' })).toBe('bad_password')
    }
  })

  it('is refused without a key or a certificate', async () => {
    expect(await reasonOf({ p12: opensslP12('-nokeys'), password: 'pw' })).toBe('no_key')
    expect(
      await reasonOf({
        p12: withOpenssl({ 'k.pem': keyPem(key) }, (openssl) =>
          openssl('pkcs12', '-export', '-nocerts', '-inkey', 'k.pem', '-passout', 'pass:pw'),
        ),
        password: 'pw',
      }),
    ).toBe('no_certificate')
  })

  it('is refused when it is none, or is cut off, or is deep', async () => {
    const good = opensslP12()
    for (const p12 of [
      Buffer.alloc(0),
      Buffer.from('hello'),
      good.subarray(0, -1),
      Buffer.from('3080'.repeat(5000), 'hex'),
      Buffer.alloc(256 * 1024 + 1),
      push.certificate.der,
      Buffer.from('3000', 'hex'),
    ]) {
      expect(await reasonOf({ p12, password: 'pw' })).toBe('p12')
    }
  })

  it('is refused when it asks for too many rounds, wherever it asks', async () => {
    expect(await reasonOf({ p12: opensslP12('-iter', '100000', '-macalg', 'sha256', '-nomac'), password: 'pw' })).toBe(
      'accepted',
    )
    expect(await reasonOf({ p12: opensslP12('-iter', '100001', '-nomac'), password: 'pw' })).toBe('p12')
    // MacData is the last part, 67 bytes long, and ends with its rounds; two bytes more go into three lengths.
    const good = opensslP12()
    const changed = Buffer.concat([good.subarray(0, -4), Buffer.from('02047fffffff', 'hex')])
    expect(good.subarray(-67, -65).toString('hex')).toBe('3041')
    changed[good.length - 66] = 0x43
    changed.writeUInt16BE(good.length - 4 + 2, 2)
    expect(await reasonOf({ p12: changed, password: 'pw' })).toBe('p12')
  })
})
