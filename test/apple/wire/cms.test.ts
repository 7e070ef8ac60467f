import { randomBytes } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { decodeSignatureHeader, verifyAttached, verifyDetached } from '../../../src/apple/wire/cms.ts'
import { signAttached, signDetached, signDetachedLikeIos } from '../../../src/apple/wire/cms-sign.ts'
import {
  contentOf,
  type DerValue,
  enter,
  explicitTag,
  next,
  rawOf,
  readDer,
  rest,
  TAG,
} from '../../../src/apple/wire/der.ts'
import { certificatePem, ecKey, identity, type Identity, keyPem, rsaKey, withOpenssl } from './pki.ts'
import { reasonOf } from './reason-of.ts'

const body = Buffer.from('<?xml version="1.0"?><plist><dict><key>Status</key><string>Idle</string></dict></plist>\n')
let ca: Identity
let device: Identity
let other: Identity
let ecDevice: Identity

beforeAll(() => {
  ca = identity('CA', { profile: 'ca' })
  device = identity('Device A', { issuer: ca })
  other = identity('Device B', { issuer: ca })
  ecDevice = identity('EC device', { issuer: ca, key: ecKey() })
})

/** `openssl cms -sign` by this identity over the body, detached unless told otherwise. */
function opensslSign(signer: Identity, ...more: string[]): Buffer {
  const files = {
    body: body,
    'c.pem': certificatePem(signer.certificate),
    'k.pem': keyPem(signer.key),
    'ca.pem': certificatePem(ca.certificate),
    'more.pem': [other, ca].map(({ certificate }) => certificatePem(certificate)).join(''),
  }
  return withOpenssl(files, (openssl) =>
    openssl(
      'cms',
      '-sign',
      '-binary',
      '-in',
      'body',
      '-signer',
      'c.pem',
      '-inkey',
      'k.pem',
      '-outform',
      'DER',
      ...more,
    ),
  )
}

describe('a detached signature', () => {
  it.each([
    ['with attributes and SHA-256', ['-md', 'sha256'], 'sha256'],
    ['with SHA-1', ['-md', 'sha1'], 'sha1'],
    ['with SHA-384', ['-md', 'sha384'], 'sha384'],
    ['with SHA-512', ['-md', 'sha512'], 'sha512'],
    ['without attributes', ['-noattr', '-md', 'sha256'], 'sha256'],
    ['without attributes and with SHA-1', ['-noattr', '-md', 'sha1'], 'sha1'],
    ['with a signer named by key identifier', ['-keyid'], 'sha256'],
    ['with other certificates beside', ['-certfile', 'more.pem', '-md', 'sha256'], 'sha256'],
  ])('of openssl is verified: %s', (_, options, digest) => {
    for (const signer of [device, ecDevice]) {
      const cms = opensslSign(signer, ...options)
      // The same message with indefinite lengths: openssl writes those only around content it carries.
      for (const sent of [cms, withIndefiniteLengths(cms)]) {
        const verified = verifyDetached(sent, body)
        expect(verified.certificate.sha256).toEqual(signer.certificate.sha256)
        expect(verified.digest).toBe(digest)
      }
    }
  })

  it('of an iPhone is verified, and openssl says the same', () => {
    for (const signer of [device, ecDevice]) {
      const cms = signDetachedLikeIos(body, signer)
      expect(cms.subarray(0, 2).toString('hex')).toBe('3080')
      expect(verifyDetached(cms, body)).toMatchObject({
        digest: 'sha1',
        certificate: { sha256: signer.certificate.sha256 },
      })
      withOpenssl({ cms, body }, (openssl) => {
        const verify = ['cms', '-verify', '-binary', '-inform', 'DER', '-in', 'cms', '-content']
        expect(openssl(...verify, 'body', '-noverify')).toEqual(body)
      })
    }
  })

  it('covers an empty body', () => {
    expect(verifyDetached(signDetachedLikeIos(Buffer.alloc(0), device), Buffer.alloc(0)).digest).toBe('sha1')
    expect(verifyDetached(signDetached(Buffer.alloc(0), device), Buffer.alloc(0)).digest).toBe('sha256')
  })

  it('does not hold for another body', () => {
    const changed = Buffer.from(body)
    changed[20]! ^= 1
    expect(reasonOf(() => verifyDetached(signDetachedLikeIos(body, device), changed))).toBe('bad_signature')
    expect(reasonOf(() => verifyDetached(signDetached(body, device), changed))).toBe('digest_mismatch')
    expect(reasonOf(() => verifyDetached(signDetached(body, device), Buffer.alloc(0)))).toBe('digest_mismatch')
  })

  it('reads the bytes of a view, not of the memory under it', () => {
    const memory = Buffer.concat([randomBytes(7), signDetached(body, device), randomBytes(7)])
    const view = new Uint8Array(memory.buffer, memory.byteOffset + 7, memory.length - 14)
    expect(verifyDetached(view, new Uint8Array(body)).digest).toBe('sha256')
  })
})

describe('an attached signature', () => {
  it.each([[[]], [['-noattr']], [['-stream']], [['-md', 'sha1']], [['-keyid']]])(
    'of openssl is verified with %j',
    (options) => {
      for (const signer of [device, ecDevice]) {
        const verified = verifyAttached(opensslSign(signer, '-nodetach', ...options))
        expect(verified.content).toEqual(body)
        expect(verified.certificate.sha256).toEqual(signer.certificate.sha256)
        expect(verified.attributes.size > 0).toBe(!options.includes('-noattr'))
      }
    },
  )

  it('is refused when the content was changed or left out', () => {
    const cms = signAttached(body, device)
    const changed = Buffer.from(cms)
    changed[cms.indexOf('Idle')]! ^= 1
    expect(reasonOf(() => verifyAttached(changed))).toBe('digest_mismatch')
    expect(reasonOf(() => verifyAttached(signDetached(body, device)))).toBe('cms_shape')
  })

  it("takes 1024 bits only from Apple's own device keys", () => {
    const phone = identity('Phone', { key: rsaKey(1024) })
    expect(reasonOf(() => verifyAttached(signAttached(body, phone)))).toBe('weak_alg')
    expect(verifyAttached(signAttached(body, phone), { appleDevice: true }).content).toEqual(body)
    const weaker = identity('Weaker', { key: rsaKey(768) })
    expect(reasonOf(() => verifyAttached(signAttached(body, weaker), { appleDevice: true }))).toBe('weak_alg')
  })
})

describe('the value of the header', () => {
  it('is standard base64', () => {
    const cms = signDetachedLikeIos(body, device)
    expect(decodeSignatureHeader(cms.toString('base64'))).toEqual(cms)
  })

  it.each([
    ['nothing', ''],
    ['a line break', 'AAAA\nAAAA'],
    ['a blank', 'AAAA AAAA'],
    ['base64url', 'AA-_'],
    ['missing padding', 'AAA'],
    ['too much padding', 'AAA=='],
    ['padding inside', 'AA==AAAA'],
    ['stray bits', 'AAB='],
    ['two values', 'AAAA, AAAA'],
    ['other characters', 'AAA\u00e4'],
  ])('is refused with %s', (_, value) => {
    expect(reasonOf(() => decodeSignatureHeader(value))).toBe('cms_shape')
  })

  it('holds 8 KB and no more', () => {
    expect(decodeSignatureHeader(Buffer.alloc(8192, 1).toString('base64')).length).toBe(8192)
    expect(reasonOf(() => decodeSignatureHeader(Buffer.alloc(8193, 1).toString('base64')))).toBe('cms_shape')
    // Refused by its length, before anything is decoded.
    expect(() => decodeSignatureHeader('A'.repeat(65_540))).toThrow('header larger than 64 KiB')
    expect(reasonOf(() => decodeSignatureHeader('A'.repeat(8 * 1024 * 1024)))).toBe('cms_shape')
  })
})

function withIndefiniteLengths(cms: Buffer): Buffer {
  const outer = enter(readDer(cms), TAG.sequence)
  const type = rawOf(next(outer))
  const signed = enter(next(enter(next(outer), explicitTag(0))), TAG.sequence)
  const fields = rest(signed, 8).map((field) =>
    field.tag === TAG.sequence || field.tag === TAG.set ? indefinite(field) : rawOf(field),
  )
  const parts = ['3080', type, 'a080', '3080', ...fields, '0000', '0000', '0000']
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'hex') : part)))
}

function indefinite(value: DerValue): Buffer {
  return Buffer.concat([Buffer.from([value.tag, 0x80]), contentOf(value), Buffer.from([0, 0])])
}
