import { describe, expect, it } from 'vitest'
import { decodePlist } from '../../../src/apple/wire/plist.ts'
import { encodePlist, PlistReal, type EncodablePlist } from '../../../src/apple/wire/plist-writer.ts'
import { reasonOf } from './reason-of.ts'

describe('encodePlist', () => {
  it("writes Apple's frame, tabs and one element a line", () => {
    const list = [1, true, new Date('2026-03-01T08:15:30.999Z')]
    const value = { Name: 'a <b> & "c"', List: list, Data: Buffer.from('abc') }
    expect(encodePlist(value).toString()).toBe([
      '<?xml version="1.0" encoding="UTF-8"?>',
      '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
      '<plist version="1.0">',
      '<dict>',
      '\t<key>Name</key>',
      '\t<string>a &lt;b&gt; &amp; "c"</string>',
      '\t<key>List</key>',
      '\t<array>',
      '\t\t<integer>1</integer>',
      '\t\t<true/>',
      '\t\t<date>2026-03-01T08:15:30Z</date>',
      '\t</array>',
      '\t<key>Data</key>',
      '\t<data>YWJj</data>',
      '</dict>',
      '</plist>',
      '',
    ].join('\n'))
  })

  const elements: [string, EncodablePlist, string][] = [
    ['a whole number as integer', 8191, '<integer>8191</integer>'],
    ['minus zero as zero', -0, '<integer>0</integer>'],
    ['a fraction as real', 1.5, '<real>1.5</real>'],
    ['a whole number as real when asked', new PlistReal(2), '<real>2</real>'],
    ['a number too large to be exact as real', 2 ** 60, '<real>1152921504606847000</real>'],
    ['the largest integer', 2n ** 64n - 1n, '<integer>18446744073709551615</integer>'],
    ['a carriage return as a reference', 'a\r\n', '<string>a&#13;\n</string>'],
    ['empty containers as one tag', [[], {}, { a: undefined }], '<array>\n\t<array/>\n\t<dict/>\n\t<dict/>\n</array>'],
    ['any bytes as data', new Uint8Array([0, 1, 2]), '<data>AAEC</data>'],
    ['a part of a larger buffer', Buffer.from('xxabcxx').subarray(2, 5), '<data>YWJj</data>'],
    ['a date of the first century', new Date('0001-01-01T00:00:00Z'), '<date>0001-01-01T00:00:00Z</date>'],
  ]
  for (const [title, value, xml] of elements) {
    it(`writes ${title}`, () => expect(body(encodePlist(value))).toBe(xml))
  }

  const refusals: [string, unknown, string][] = [
    ['a control character', 'a\u0000', 'character'],
    ['an escape character in a key', { 'a\u001B': 1 }, 'character'],
    ['half a surrogate pair', 'a\uD83D', 'character'],
    ['U+FFFF', '\uFFFF', 'character'],
    ['NaN', NaN, 'real'],
    ['infinity', new PlistReal(Infinity), 'real'],
    ['an integer above 64 bits', 2n ** 64n, 'integer'],
    ['an invalid date', new Date(NaN), 'date'],
    ['a date beyond the year 9999', new Date('+010000-01-01T00:00:00Z'), 'date'],
    ['null', { a: null }, 'type'],
    ['undefined in an array', [undefined], 'type'],
    ['a function', { a: () => 1 }, 'type'],
    ['__proto__ as a key', JSON.parse('{"__proto__":{}}'), 'key'],
    ['65 containers in each other', nested(65), 'depth'],
    ['a circle', circle(), 'depth'],
  ]
  for (const [title, value, reason] of refusals) {
    it(`refuses ${title}`, () => expect(reasonOf(() => encodePlist(value as EncodablePlist))).toBe(reason))
  }

  it('writes as deep as the reader reads', () => {
    expect(decodePlist(encodePlist(nested(64)))).toEqual(nested(64))
  })
})

function body(document: Buffer): string {
  return document.toString().split('<plist version="1.0">\n')[1]?.replace('\n</plist>\n', '') ?? ''
}

function nested(depth: number): EncodablePlist {
  return depth === 0 ? true : [nested(depth - 1)]
}

function circle(): unknown {
  const list: unknown[] = []
  list.push({ list })
  return list
}
