import { describe, expect, it } from 'vitest'
import { parseStrictJson } from '../../../src/apple/wire/strict-json.ts'
import { reasonOf } from './reason-of.ts'

const parse = (text: string) => parseStrictJson(Buffer.from(text))
const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)

describe('JSON from outside', () => {
  it('is what it says', () => {
    const text = '{"a":[1,-2.5,true,null,"\\u00e9 \\"quoted\\" { [ : , ] }"],"constructor":{"toString":0},"":{}}'
    expect(JSON.stringify(parse(text))).toBe(JSON.stringify(JSON.parse(text)))
  })

  it('loses what jsonb cannot hold', () => {
    expect(parse('{"a\\u0000":"b\\u0000c\\ud800d"}')).toEqual({ a: 'bc\uFFFDd' })
  })

  it('may be 64 deep and have 100 000 values', () => {
    expect(JSON.stringify(parse(deep(64)))).toBe(deep(64))
    expect(parse(`[${'0,'.repeat(99_998)}0]`)).toHaveLength(99_999)
  })

  const refusals: [string, string | Buffer, string][] = [
    ['nothing', '', 'json'],
    ['half of it', '{"a":', 'json'],
    ['two values', '{} {}', 'json'],
    ['NaN', '[NaN]', 'json'],
    ['a comment', '{}//', 'json'],
    ['65 levels', deep(65), 'depth'],
    ['two million levels', '['.repeat(2_000_000), 'depth'],
    ['too many values', `[${'0,'.repeat(100_000)}0]`, 'nodes'],
    ['a key twice', '{"a":1,"b":{"c":1,"c":2}}', 'duplicate_key'],
    ['a key twice, once in disguise', '{"a":1,"\\u0061":2}', 'duplicate_key'],
    ['__proto__', '{"a":{"__proto__":{"polluted":1}}}', 'key'],
    ['an infinite number', '[1e999]', 'number'],
    ['Latin-1', Buffer.from('"\u00e9"', 'latin1'), 'charset'],
    ['UTF-16', Buffer.from('{}', 'utf16le'), 'json'],
  ]
  it.each(refusals)('is refused with %s', (_title, text, reason) => {
    expect(reasonOf(() => parseStrictJson(Buffer.from(text)))).toBe(reason)
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  it('is refused in words that do not repeat it', () => {
    expect(() => parse('{"secret')).toThrow(/^json: not JSON$/)
  })
})
