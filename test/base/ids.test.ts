import { afterEach, expect, it, vi } from 'vitest'
import { encodeBits, newId } from '../../src/base/ids.ts'

afterEach(() => {
  vi.useRealTimers()
})

it('is the prefix and a ULID in Crockford’s base 32', () => {
  for (const prefix of ['dev', 'cmd', 'lnk', 'att', 'key', 'psh', 'evt', 'req'] as const) {
    expect(newId(prefix)).toMatch(new RegExp(`^${prefix}_[0-7][0-9A-HJKMNP-TV-Z]{25}$`))
  }
})

it('ascends and repeats nothing, within a millisecond and when the clock goes back', () => {
  const noon = 2 ** 47
  const made: string[] = []
  for (const now of [noon, noon, noon + 1, noon - 60_000, noon + 2]) {
    vi.useFakeTimers({ now })
    for (let i = 0; i < 2_000; i++) made.push(newId('cmd'))
  }
  expect(made).toEqual([...new Set(made)].toSorted())
})

it('begins with the time in milliseconds', () => {
  vi.useFakeTimers({ now: 2 ** 48 - 1 })
  expect(newId('dev').slice(0, 14)).toBe('dev_7ZZZZZZZZZ')
})

it.each([
  ['', ''], ['00000000000000000000', '0000000000000000'], ['ffffffffffffffffffff', 'ZZZZZZZZZZZZZZZZ'],
  ['00443214c74254b635cf84653a56d7c675be77df', '0123456789ABCDEFGHJKMNPQRSTVWXYZ'],
])('encodes %s as %s', (hex, text) => {
  expect(encodeBits(Buffer.from(hex, 'hex'))).toBe(text)
})
