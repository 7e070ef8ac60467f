import { describe, expect, it } from 'vitest'
import { contentOf, enter, finish, next, nextIf, rawOf, readDer, rest, TAG } from '../../../src/apple/wire/der.ts'
import {
  bitStringBytes,
  booleanOf,
  integerBytes,
  namedBits,
  oidOf,
  smallInteger,
  textOf,
  timeOf,
} from '../../../src/apple/wire/der-types.ts'
import * as der from '../../../src/apple/wire/der-writer.ts'
import { reasonOf } from './reason-of.ts'

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex')
const value = (hex: string) => readDer(bytes(hex))

describe('reading DER', () => {
  it('walks the values of a sequence in their order', () => {
    const cursor = enter(
      readDer(der.sequence(der.integer(5), der.boolean(true), der.octetString(bytes('aabb')))),
      TAG.sequence,
    )
    expect(smallInteger(next(cursor))).toBe(5)
    expect(nextIf(cursor, TAG.octetString)).toBeUndefined()
    expect(booleanOf(next(cursor, TAG.boolean))).toBe(true)
    const last = next(cursor)
    finish(cursor)
    expect(contentOf(last)).toEqual(bytes('aabb'))
    expect(rawOf(last)).toEqual(bytes('0402aabb'))
  })

  it.each([
    ['nothing', ''],
    ['a tag alone', '30'],
    ['a length over the end', '3003 0201'],
    ['bytes after the value', '0500 00'],
    ['an indefinite length', '3080 0000'],
    ['a length in more bytes than needed', '0481 01 aa'],
    ['a length with a leading zero', '0482 0080' + 'aa'.repeat(128)],
    ['a length of 2^63', '0488 8000000000000000'],
    ['a length of 2^32 - 1', '0484 ffffffff'],
    ['a reserved length form', '04ff'],
    ['a high tag number', '1f8101 00'],
  ])('refuses %s', (_, hex) => {
    expect(reasonOf(() => value(hex))).toBe('asn1')
  })

  it('refuses a value that is missing, of another tag, or one too many', () => {
    const two = readDer(der.sequence(der.integer(1), der.integer(2)))
    expect(reasonOf(() => next(enter(two, TAG.sequence), TAG.oid))).toBe('asn1')
    expect(reasonOf(() => enter(two, TAG.set))).toBe('asn1')
    expect(reasonOf(() => next(enter(value('3003 020205'), TAG.sequence)))).toBe('asn1')
    expect(reasonOf(() => enter(value('0500'), TAG.null))).toBe('asn1')
    expect(reasonOf(() => finish(enter(two, TAG.sequence)))).toBe('asn1')
    expect(reasonOf(() => next(enter(value('3000'), TAG.sequence)))).toBe('asn1')
    expect(reasonOf(() => rest(enter(two, TAG.sequence), 1))).toBe('asn1')
    expect(rest(enter(two, TAG.sequence), 2)).toHaveLength(2)
  })
})

describe('DER types', () => {
  it.each([
    '1.2.840.113549.1.1.11',
    '2.5.4.3',
    '2.16.840.1.113733.1.9.7',
    '0.9.2342.19200300.100.1.1',
    '2.999.1',
    '2.25.340282366920938463463374607431768211455',
    '1.0.8571.2',
  ])('reads back the identifier %s', (dotted) => {
    expect(oidOf(readDer(der.oid(dotted)))).toBe(dotted)
  })

  it.each(['0600', '06022a80', '0603808001', '0641' + '81'.repeat(64) + '01', '0401 2a'])(
    'refuses the identifier %s',
    (hex) => {
      expect(reasonOf(() => oidOf(value(hex)))).toBe('asn1')
    },
  )

  it.each([0, 1, 127, 128, 255, 256, 65535, 2 ** 31 - 1])('reads back the integer %i', (number) => {
    expect(smallInteger(readDer(der.integer(number)))).toBe(number)
  })

  it('writes bytes as a positive integer', () => {
    expect(der.integer(bytes('00ff'))).toEqual(bytes('020200ff'))
    expect(der.integer(bytes('0000'))).toEqual(bytes('020100'))
    expect(der.integer(bytes(''))).toEqual(bytes('020100'))
    expect(der.integer(bytes('7f01'))).toEqual(bytes('02027f01'))
  })

  it.each(['0200', '02020001', '0202ff80', '0401 01'])('refuses the integer %s', (hex) => {
    expect(reasonOf(() => integerBytes(value(hex)))).toBe('asn1')
  })

  it.each(['0201ff', '020500ffffffff'])('refuses %s as a small number', (hex) => {
    expect(reasonOf(() => smallInteger(value(hex)))).toBe('asn1')
  })

  it('reads named bits from the left', () => {
    expect(namedBits(value('030205a0'))).toBe(1 | 4)
    expect(namedBits(value('0303070080'))).toBe(256)
    for (const bits of [0, 1, 4, 5, 96, 97, 256, 511]) expect(namedBits(readDer(der.namedBitString(bits)))).toBe(bits)
  })

  it.each(['0300', '030208a0'])('refuses the bits %s', (hex) => {
    expect(reasonOf(() => namedBits(value(hex)))).toBe('asn1')
  })

  it('refuses a key or signature that is not whole bytes', () => {
    expect(bitStringBytes(value('030300aabb'))).toEqual(bytes('aabb'))
    expect(reasonOf(() => bitStringBytes(value('030301aabb')))).toBe('asn1')
    expect(reasonOf(() => bitStringBytes(value('0300')))).toBe('asn1')
  })

  it('refuses a boolean that is neither yes nor no', () => {
    expect(reasonOf(() => booleanOf(value('010101')))).toBe('asn1')
    expect(reasonOf(() => booleanOf(value('0100')))).toBe('asn1')
  })

  it('reads the text of every string type that names use', () => {
    expect(textOf(readDer(der.utf8String('Zoë')))).toBe('Zoë')
    expect(textOf(readDer(der.printableString('abc')))).toBe('abc')
    expect(textOf(value('1e04 0041 00eb'))).toBe('Aë')
    expect(textOf(value('1402 41eb'))).toBe('Aë')
    expect(textOf(value('020101'))).toBeUndefined()
    expect(reasonOf(() => textOf(value('0c02c328')))).toBe('asn1')
    expect(reasonOf(() => textOf(value('1e03004100')))).toBe('asn1')
  })

  it.each(['1950-01-01T00:00:00Z', '2049-12-31T23:59:59Z', '2050-01-01T00:00:00Z', '2024-02-29T12:00:00Z'])(
    'reads back the time %s',
    (iso) => {
      expect(timeOf(readDer(der.time(new Date(iso))))).toEqual(new Date(iso))
    },
  )

  it.each([
    '300101000000Z',
    '20300101000000',
    '2030010100Z',
    '203001010000Z',
    '20300230000000Z',
    '20301301000000Z',
    '20300101240000Z',
    '20300101006000Z',
    '20300101000060Z',
    '20300101000000+0100',
    '20300101000000.5Z',
  ])('refuses the GeneralizedTime %s', (text) => {
    expect(reasonOf(() => timeOf(readDer(der.tlv(TAG.generalizedTime, Buffer.from(text)))))).toBe('asn1')
  })

  it('refuses a UTCTime of another form, and what is no time', () => {
    expect(reasonOf(() => timeOf(readDer(der.tlv(TAG.utcTime, Buffer.from('3001010000Z')))))).toBe('asn1')
    expect(reasonOf(() => timeOf(readDer(der.utf8String('20300101000000Z'))))).toBe('asn1')
  })
})
