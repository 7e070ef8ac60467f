import { describe, expect, it } from 'vitest'
import { decodePlist, plistDict } from '../../../src/apple/wire/plist.ts'
import { largeCases, plist, plistCases } from './plist-cases.ts'
import { reasonOf } from './reason-of.ts'

describe('what a document means', () => {
  for (const example of plistCases) {
    if ('gives' in example) {
      it(`reads ${example.title}`, () => expect(decodePlist(example.document)).toEqual(example.gives))
    } else {
      it(`refuses ${example.title}`, () => expect(reasonOf(() => decodePlist(example.document))).toBe(example.refused))
    }
  }
})

describe('documents made to hurt', () => {
  for (const example of largeCases) {
    if ('size' in example) {
      it(`reads ${example.title}`, () => {
        expect(sizeOf(decodePlist(example.document(), example.limits))).toBe(example.size)
      })
    } else {
      it(`refuses ${example.title}`, () => {
        expect(reasonOf(() => decodePlist(example.document(), example.limits))).toBe(example.refused)
      })
    }
  }
})

describe('decodePlist', () => {
  it('makes dicts without a prototype', () => {
    const dict = plistDict(decodePlist(plist('<dict><key>a</key><dict/></dict>')))
    expect(Object.getPrototypeOf(dict)).toBeNull()
    expect(Object.getPrototypeOf(dict['a'])).toBeNull()
    expect('constructor' in dict).toBe(false)
  })

  it('keeps dicts of one shape apart', () => {
    const twice = '<dict><key>a</key><integer>1</integer></dict><dict><key>a</key><integer>2</integer></dict>'
    expect(decodePlist(plist(`<array>${twice}</array>`))).toEqual([{ a: 1 }, { a: 2 }])
  })

  it('reads bytes that are a part of a larger buffer', () => {
    const document = plist('<string>x</string>')
    const larger = Buffer.concat([Buffer.from('before'), document, Buffer.from('after')])
    expect(decodePlist(new Uint8Array(larger.buffer, larger.byteOffset + 6, document.length))).toBe('x')
  })

  it('obeys the limits it is given', () => {
    const document = plist('<array><array><true/></array></array>')
    expect(decodePlist(document, { maxDepth: 2, maxNodes: 3 })).toEqual([[true]])
    expect(reasonOf(() => decodePlist(document, { maxDepth: 1 }))).toBe('depth')
    expect(reasonOf(() => decodePlist(document, { maxNodes: 2 }))).toBe('limit')
  })

  it('says where it stopped and repeats nothing of the input', () => {
    const document = plist('<string>secret</sekret>')
    const offset = document.indexOf('</sekret>')
    expect(() => decodePlist(document)).toThrow(`xml: expected </string>, at offset ${offset}`)
  })

  it('gives data that stays as it is when the body changes', () => {
    const document = plist('<data>AAEC</data>')
    const data = decodePlist(document)
    document.fill(0)
    expect(data).toEqual(Buffer.from('000102', 'hex'))
  })
})

describe('plistDict', () => {
  it('passes a dict through', () => {
    const dict = decodePlist(plist('<dict><key>a</key><true/></dict>'))
    expect(plistDict(dict)).toBe(dict)
  })

  for (const other of ['<array/>', '<data/>', '<string/>', '<true/>', '<date>2026-01-01T00:00:00Z</date>']) {
    it(`refuses ${other}`, () => expect(reasonOf(() => plistDict(decodePlist(plist(other))))).toBe('type'))
  }
})

function sizeOf(value: unknown): number {
  return typeof value === 'string' || Array.isArray(value) || Buffer.isBuffer(value)
    ? value.length
    : Object.keys(Object(value)).length
}
