import { build, parse, type PlistValue as OtherValue } from 'plist'
import { describe, expect, it } from 'vitest'
import { decodePlist, type PlistValue } from '../../../src/apple/wire/plist.ts'
import { encodePlist } from '../../../src/apple/wire/plist-writer.ts'
import { anyValue, seeded, spelled } from './plist-generator.ts'

// plist@5 is asked about generated documents only. On hostile ones it is the one in danger, and a text that begins with
// 'bplist' sends it to its binary reader, which can end the process.
const DOCUMENTS = 400

describe('our property lists and those of the plist package', () => {
  it('agree about what we write', () => {
    for (const value of values(1)) expect(other(encodePlist(value).toString())).toEqual(value)
  })

  it('agree about what it writes', () => {
    for (const value of values(2)) expect(decodePlist(Buffer.from(build(value as OtherValue)))).toEqual(value)
  })

  it('agree about what a third writer might write', () => {
    const random = seeded(3)
    for (const value of values(4)) {
      const document = spelled(random, value)
      expect(decodePlist(Buffer.from(document))).toEqual(value)
      expect(other(document)).toEqual(value)
    }
  })
})

describe('a round trip', () => {
  it('gives the same value, and the same bytes again', () => {
    for (const value of values(5)) {
      const bytes = encodePlist(value)
      expect(decodePlist(bytes)).toEqual(value)
      expect(encodePlist(decodePlist(bytes))).toEqual(bytes)
    }
  })

  it('keeps integers that a double cannot hold', () => {
    const value = [2n ** 64n - 1n, -(2n ** 63n), 2n ** 53n + 1n]
    expect(decodePlist(encodePlist(value))).toEqual(value)
  })
})

function values(seed: number): PlistValue[] {
  const random = seeded(seed)
  return Array.from({ length: DOCUMENTS }, () => anyValue(random, 4))
}

/** What the other package reads, with its Uint8Arrays as Buffers. */
function other(document: string): unknown {
  return withBuffers(parse(document))
}

function withBuffers(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value)
  if (Array.isArray(value)) return value.map(withBuffers)
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, withBuffers(member)]))
}
