import { describe, expect, it } from 'vitest'
import * as der from '../../../src/apple/wire/der-writer.ts'
import { OID } from '../../../src/apple/wire/oids.ts'
import { distinguishedName, nameParts } from '../../../src/apple/wire/x509.ts'
import { certificatePem, ecKey, identity, withOpenssl } from './pki.ts'
import { reasonOf } from './reason-of.ts'

describe('names', () => {
  it('reads back what it wrote', () => {
    const parts: [string, string][] = [
      ['C', 'CH'],
      ['O', 'Bräm'],
      ['OU', 'a'],
      ['OU', 'b'],
      ['CN', 'x, y=z'],
      ['UID', 'u'],
      ['1.2.3', 'v'],
    ]
    expect(nameParts(distinguishedName(parts))).toEqual(parts)
  })

  it('writes what openssl reads', () => {
    const { certificate } = identity('x', {
      key: ecKey(),
      parts: [
        ['C', 'CH'],
        ['O', 'Bräm'],
        ['UID', 'u'],
        ['E', 'a@b'],
        ['CN', 'x'],
      ],
    })
    const subject = withOpenssl({ 'c.pem': certificatePem(certificate) }, (openssl) =>
      openssl('x509', '-in', 'c.pem', '-noout', '-subject', '-nameopt', 'utf8,sep_comma_plus').toString().trim(),
    )
    expect(subject).toBe('subject=C=CH,O=Bräm,UID=u,emailAddress=a@b,CN=x')
  })

  it.each(['XYZ', 'constructor', '__proto__', '1', '3.1.2', '1.2.', '1.02.3', ''])(
    'refuses a part called "%s"',
    (type) => {
      expect(reasonOf(() => distinguishedName([[type, 'x']]))).toBe('subject')
    },
  )

  it('shows text of an unusual type as hex instead of guessing', () => {
    const name = der.sequence(der.setOf(der.sequence(der.oid(OID.commonName), der.integer(5))))
    expect(nameParts(name)).toEqual([['CN', '#020105']])
  })

  it('refuses a name that goes on and on', () => {
    const part = der.setOf(der.sequence(der.oid(OID.commonName), der.utf8String('x')))
    expect(reasonOf(() => nameParts(der.sequence(...Array.from({ length: 33 }, () => part))))).toBe('asn1')
  })
})
