import { describe, expect, it } from 'vitest'
import { jsonFromPlist, plistFromJson, type Json } from '../../../src/apple/wire/json.ts'
import { decodePlist, type PlistValue } from '../../../src/apple/wire/plist.ts'
import { encodePlist, PlistReal } from '../../../src/apple/wire/plist-writer.ts'
import { reasonOf } from './reason-of.ts'

describe('jsonFromPlist', () => {
  const values: [string, PlistValue, Json][] = [
    ['data as base64', Buffer.from('000102', 'hex'), 'AAEC'],
    ['a date as RFC 3339', new Date('2026-03-01T08:15:30Z'), '2026-03-01T08:15:30Z'],
    ['a small bigint as a number', 7n, 7],
    ['a large bigint as digits', 2n ** 64n - 1n, '18446744073709551615'],
    ['a real that is no number as null', [NaN, Infinity], [null, null]],
    ['a real in its wrapper as a number', new PlistReal(2), 2],
    ['text as it is', 'M\u00FCller \u{1F600}', 'M\u00FCller \u{1F600}'],
    ['text without what jsonb refuses', 'a\u0000b\uD83Dc', 'ab\uFFFDc'],
    ['containers', { a: [1, { b: true }], c: {} }, { a: [1, { b: true }], c: {} }],
    ['keys without what jsonb refuses', { 'a\u0000': 1 }, { a: 1 }],
  ]
  for (const [title, value, json] of values) {
    it(`gives ${title}`, () => expect(jsonFromPlist(value)).toEqual(json))
  }

  it('gives what JSON.stringify writes and JSON.parse reads', () => {
    const dict = decodePlist(encodePlist({ constructor: 'c', list: [1.5, false], data: Buffer.from('abc') }))
    const json = jsonFromPlist(dict)
    expect(JSON.parse(JSON.stringify(json))).toEqual(json)
  })

  it('never sets a prototype', () => {
    const json = jsonFromPlist(JSON.parse('{"__proto__":{"isAdmin":true}}'))
    expect(Object.getPrototypeOf(json)).toBe(Object.prototype)
    expect(json).not.toHaveProperty('isAdmin')
  })
})

describe('plistFromJson', () => {
  it("takes a command with Apple's key names", () => {
    const json = {
      RequestType: 'InstallProfile', Payload: { $data: 'AAEC' }, Version: 1, Ratio: 0.5, On: true, Items: ['a', {}],
      Until: { $date: '2026-03-01T09:15:30.5+01:00' },
    }
    expect(plistFromJson(json)).toEqual({
      RequestType: 'InstallProfile', Payload: Buffer.from('000102', 'hex'), Version: 1, Ratio: 0.5, On: true,
      Items: ['a', {}], Until: new Date('2026-03-01T08:15:30.500Z'),
    })
  })

  it('writes whole numbers as integer and others as real', () => {
    const xml = encodePlist(plistFromJson([1, 1.5, -0])).toString()
    expect(xml.match(/<(integer|real)>[^<]*/g)).toEqual(['<integer>1', '<real>1.5', '<integer>0'])
  })

  const refusals: [string, string, string][] = [
    ['null', '{"Settings":[{"a/b~c":null}]}', 'null: a property list has no null, at /Settings/0/a~1b~0c'],
    ['null alone', 'null', 'null: a property list has no null, at the top'],
    ['a number that JSON has rounded', '{"a":9007199254740993}', 'integer: a whole number beyond 2^53, at /a'],
    ['bad base64', '{"a":{"$data":"AAE"}}', 'data: expected only "$data" with base64, at /a'],
    ['$data that is a number', '{"a":{"$data":1}}', 'data: expected only "$data" with base64, at /a'],
    ['$data beside another key', '{"a":{"$data":"AAEC","b":1}}', 'data: expected only "$data" with base64, at /a'],
    ['a date without an offset', '[{"$date":"2026-03-01T08:15:30"}]',
      'date: expected only "$date" with an RFC 3339 time, at /0'],
    ['a day that does not exist', '[{"$date":"2026-02-30T08:15:30+01:00"}]',
      'date: expected only "$date" with an RFC 3339 time, at /0'],
    ['an offset that does not exist', '[{"$date":"2026-02-01T08:15:30+99:00"}]',
      'date: expected only "$date" with an RFC 3339 time, at /0'],
    ['__proto__', '{"a":{"__proto__":{}}}', 'key: forbidden key, at /a'],
  ]
  for (const [title, json, message] of refusals) {
    it(`refuses ${title} and says where`, () => {
      expect(() => plistFromJson(JSON.parse(json) as Json)).toThrow(expect.objectContaining({ message }))
    })
  }

  it('refuses what is nested deeper than 64', () => {
    expect(reasonOf(() => plistFromJson(nested(64)))).toBe('accepted')
    expect(reasonOf(() => plistFromJson(nested(65)))).toBe('depth')
  })
})

function nested(depth: number): Json {
  return depth === 0 ? true : [nested(depth - 1)]
}
