import { describe, expect, it } from 'vitest'
import { toDer } from '../../../src/apple/wire/ber.ts'
import { readDer } from '../../../src/apple/wire/der.ts'
import * as der from '../../../src/apple/wire/der-writer.ts'
import { reasonOf } from './reason-of.ts'

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex')
const nested = (depth: number): Buffer => bytes(`${'3080'.repeat(depth)}0500${'0000'.repeat(depth)}`)

describe('BER to DER', () => {
  it('gives DER back as it is, without copying', () => {
    const input = der.sequence(
      der.explicit(0, der.setOf(der.oid('1.2.3'))),
      der.octetString(Buffer.alloc(300)),
      der.nullValue,
    )
    const output = toDer(input)
    expect(output).toEqual(input)
    expect(output.buffer).toBe(input.buffer)
    expect(output.byteOffset).toBe(input.byteOffset)
  })

  it.each([
    ['an indefinite length', '3080 020105 0000', '3003020105'],
    ['one inside another', '3080 a080 020105 0000 0500 0000', '3007 a003020105 0500'],
    ['one inside a definite length', '3007 a080 020105 0000', '3005 a003020105'],
    ['DER between', '3080 3003020101 3180 0000 3003020102 0000', '300c 3003020101 3100 3003020102'],
    ['an empty value', '3080 0000', '3000'],
    ['a length in more bytes than needed', '3083000003 020105', '3003020105'],
    ['the same on a primitive value', '3004 02810105', '3003020105'],
    ['an octet string in chunks', '2480 0402aabb 0401cc 0000', '0403aabbcc'],
    ['chunks of definite length', '2407 0402aabb 0401cc', '0403aabbcc'],
    ['chunks inside chunks', '2480 2480 0401aa 0401bb 0000 2403 0401cc 0000', '0403aabbcc'],
    ['a chunk with a long length', '2405 0481020102', '04020102'],
    ['no chunks at all', '3080 2400 0500 0000', '3004 0400 0500'],
    ['chunks beside other values', '3080 020101 2480 0401aa 0401bb 0000 020102 0000', '300a 020101 0402aabb 020102'],
  ])('rewrites %s', (_, input, output) => {
    expect(toDer(bytes(input)).toString('hex')).toBe(output.replaceAll(' ', ''))
  })

  it('keeps the bytes of a value whose length grows by the rewriting around it', () => {
    const inner = der.sequence(der.octetString(Buffer.alloc(200, 7)))
    const input = Buffer.concat([bytes('3080a080'), inner, bytes('00000000')])
    expect(toDer(input)).toEqual(der.sequence(der.explicit(0, inner)))
  })

  it.each([
    ['nothing', ''],
    ['no end of contents', '3080 020105'],
    ['half an end of contents', '3080 020105 00'],
    ['an end of contents where nothing ends', '3002 0000'],
    ['an end of contents alone', '0000'],
    ['bytes after the value', '3080 0000 00'],
    ['a primitive value of indefinite length', '0480 0401aa 0000'],
    ['a primitive value of indefinite length as the last of its parent', '3002 0480'],
    ['a length over the end', '3005 020105'],
    ['a child longer than its parent', '3003 020205 05'],
    ['a child of indefinite length that leaves its parent', '3004 3080 0500 0000'],
    ['a length of 2^63', '3088 8000000000000000'],
    ['a length in 126 bytes', `30fe${'ff'.repeat(126)}`],
    ['a length that is cut off', '308201'],
    ['a high tag number', '3f8101 00'],
    ['a primitive sequence', '1000'],
    ['a constructed integer', '2203 020105'],
    ['a string in chunks of a type nobody sends', '2c05 0c0361 6263'],
    ['a chunk of another type', '2403 020105'],
  ])('refuses %s', (_, input) => {
    expect(reasonOf(() => toDer(bytes(input)))).toBe('asn1')
  })

  it('goes 64 levels deep and no further, however deep the message is', () => {
    expect(readDer(toDer(nested(64))).tag).toBe(0x30)
    expect(reasonOf(() => toDer(nested(65)))).toBe('asn1')
    expect(reasonOf(() => toDer(nested(10_000)))).toBe('asn1')
    expect(reasonOf(() => toDer(bytes('3080'.repeat(1_000_000))))).toBe('asn1')
    expect(reasonOf(() => toDer(bytes('2480'.repeat(10_000))))).toBe('asn1')
  })

  it('reads no more than 50 000 values and 16 MiB', () => {
    expect(toDer(der.sequence(Buffer.alloc(2 * 49_999, '0500', 'hex'))).length).toBeGreaterThan(99_998)
    expect(reasonOf(() => toDer(der.sequence(Buffer.alloc(2 * 50_000, '0500', 'hex'))))).toBe('asn1')
    expect(reasonOf(() => toDer(der.octetString(Buffer.alloc(16 * 1024 * 1024))))).toBe('asn1')
  })
})
