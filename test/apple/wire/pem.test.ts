import { describe, expect, it } from 'vitest'
import { decodePem, encodePem, writeCertificatePem } from '../../../src/apple/wire/pem.ts'
import { reasonOf } from './reason-of.ts'

const a = Buffer.from('aaaa')
const b = Buffer.alloc(100, 7)

describe('PEM', () => {
  it('writes lines of 64 characters', () => {
    expect(
      encodePem('X', b)
        .split('\n')
        .map((line) => line.length),
    ).toEqual([17, 64, 64, 8, 15, 0])
    expect(writeCertificatePem(a)).toBe('-----BEGIN CERTIFICATE-----\nYWFhYQ==\n-----END CERTIFICATE-----\n')
  })

  it.each([
    ['one after the other', (text: string) => text],
    ['run together', (text: string) => text.replaceAll('\n', '')],
    ['with Windows line ends', (text: string) => text.replaceAll('\n', '\r\n')],
    ['with blanks for line ends, as out of a form', (text: string) => text.replaceAll('\n', ' ')],
    ['with text around them', (text: string) => `Bag Attributes\n  name: x\n${text}\nend\n`],
  ])('reads blocks %s', (_, change) => {
    const text = change(encodePem('CERTIFICATE', b) + encodePem('PRIVATE KEY', a))
    expect(decodePem(text)).toEqual([
      { label: 'CERTIFICATE', der: b },
      { label: 'PRIVATE KEY', der: a },
    ])
  })

  it('keeps the headers of an old encrypted key', () => {
    const headers = 'Proc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,0102030405060708\n'
    const text = `-----BEGIN RSA PRIVATE KEY-----\n${headers}\nYWFhYQ==\n-----END RSA PRIVATE KEY-----`
    expect(decodePem(text)).toEqual([{ label: 'RSA PRIVATE KEY', der: a, headers }])
  })

  it.each([
    ['nothing', ''],
    ['no block', 'hello'],
    ['no end', '-----BEGIN X-----\nYWFhYQ=='],
    ['another end', '-----BEGIN X-----\nYWFhYQ==\n-----END Y-----'],
    ['no base64', '-----BEGIN X-----\n<html>\n-----END X-----'],
    ['nothing inside', '-----BEGIN X-----\n-----END X-----'],
    ['a label that does not end', '-----BEGIN X'],
    ['a label of odd characters', '-----BEGIN <b>-----\nYWFhYQ==\n-----END <b>-----'],
    ['a good block before a broken one', `${encodePem('X', a)}-----BEGIN X-----`],
    ['a block inside a block', '-----BEGIN X-----\n-----BEGIN X-----\nYWFhYQ==\n-----END X-----'],
  ])('refuses %s', (_, text) => {
    expect(reasonOf(() => decodePem(text))).toBe('not_pem')
  })

  it('refuses more than 256 KiB, and is quick with what only looks like PEM', () => {
    expect(reasonOf(() => decodePem(' '.repeat(256 * 1024 + 1)))).toBe('not_pem')
    expect(reasonOf(() => decodePem('-----BEGIN A-----'.repeat(15_000)))).toBe('not_pem')
    expect(reasonOf(() => decodePem('-----BEGIN '.repeat(20_000)))).toBe('not_pem')
    expect(reasonOf(() => decodePem(`-----BEGIN A-----${'A: '.repeat(80_000)}-----END A-----`))).toBe('not_pem')
    expect(reasonOf(() => decodePem(`-----BEGIN A-----${'A: b\n'.repeat(50_000)}-----END A-----`))).toBe('not_pem')
    expect(reasonOf(() => decodePem(`-----BEGIN A-----${'\n'.repeat(200_000)}-----END A-----`))).toBe('not_pem')
  })
})
