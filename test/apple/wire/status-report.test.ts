import { describe, expect, it } from 'vitest'
import { mergeStatus, parseStatusReport, type JsonObject } from '../../../src/apple/wire/status-report.ts'
import { reasonOf } from './reason-of.ts'

const parse = (json: unknown) => parseStatusReport(Buffer.from(JSON.stringify(json)))
const after = (known: JsonObject, items: JsonObject, full = false) => mergeStatus(known, { items, errors: [], full })

describe('a status report', () => {
  it('has items; errors and FullReport only if it says so', () => {
    expect(parse({ StatusItems: { device: {} }, NextYear: 1 })).toEqual({ items: { device: {} }, errors: [], full: false })
    expect(parse({ StatusItems: {}, Errors: [{}], FullReport: true })).toEqual({ items: {}, errors: [{}], full: true })
  })

  it.each([[[]], ['x'], [{}], [{ StatusItems: [] }], [{ StatusItems: {}, Errors: {} }], [{ StatusItems: {}, FullReport: 'yes' }]])('is refused as %j', (json) => {
    expect(reasonOf(() => parse(json))).toBe('type')
  })
})

describe('merging', () => {
  it('replaces scalars and keeps what is not mentioned', () => {
    const known = { device: { model: { family: 'iPhone' }, version: '18.0' }, battery: 1 }
    expect(after(known, { device: { version: '18.1' } })).toEqual({ device: { model: { family: 'iPhone' }, version: '18.1' }, battery: 1 })
  })

  it('changes things with an identifier one by one', () => {
    const known = { apps: [{ identifier: 'a', state: 'x' }, { identifier: 'b', state: 'y', reasons: ['old'] }] }
    expect(after(known, { apps: [{ identifier: 'b', state: 'z' }, { identifier: 'c' }] }))
      .toEqual({ apps: [{ identifier: 'a', state: 'x' }, { identifier: 'b', state: 'z' }, { identifier: 'c' }] })
  })

  it('takes out what is _removed, also what it never knew', () => {
    const known = { apps: [{ identifier: 'a' }, { identifier: 'b' }] }
    expect(after(known, { apps: [{ identifier: 'a', _removed: true }, { identifier: 'n', _removed: true }] })).toEqual({ apps: [{ identifier: 'b' }] })
    expect(after({}, { apps: [{ identifier: 'a', _removed: true }, { identifier: 'b', _removed: false }] }))
      .toEqual({ apps: [{ identifier: 'b', _removed: false }] })
  })

  it('takes an empty array as no news about things, and as an empty list of anything else', () => {
    expect(after({ apps: [{ identifier: 'a' }], languages: ['de'] }, { apps: [], languages: [] })).toEqual({ apps: [{ identifier: 'a' }], languages: [] })
  })

  it('replaces arrays of anything else, and whatever changes its nature', () => {
    expect(after({ l: ['de', 'en'], m: [{ x: 1 }], o: { a: 1 }, s: 1 }, { l: ['fr'], m: [{ x: 2 }, { identifier: 'a' }], o: 2, s: { b: 1 } }))
      .toEqual({ l: ['fr'], m: [{ x: 2 }, { identifier: 'a' }], o: 2, s: { b: 1 } })
  })

  it('forgets everything else with a full report', () => {
    expect(after({ device: { a: 1 }, apps: [{ identifier: 'a' }] }, { apps: [{ identifier: 'b' }] }, true)).toEqual({ apps: [{ identifier: 'b' }] })
  })

  it('is not taken in by the names of what every object has', () => {
    const merged = after({}, { constructor: { toString: 1 }, hasOwnProperty: [{ identifier: 'valueOf' }] })
    expect(JSON.stringify(merged)).toBe('{"constructor":{"toString":1},"hasOwnProperty":[{"identifier":"valueOf"}]}')
    expect(JSON.stringify(after(merged, { constructor: { valueOf: 2 } }))).toContain('{"toString":1,"valueOf":2}')
  })

  it('changes neither what was known nor what was said', () => {
    const known = { apps: [{ identifier: 'a' }], device: { a: 1 } }
    const news = { apps: [{ identifier: 'b' }], device: { b: 2 } }
    const before = JSON.stringify([known, news])
    after(known, news)
    expect(JSON.stringify([known, news])).toBe(before)
  })
})
