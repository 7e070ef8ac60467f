import { describe, expect, it } from 'vitest'
import { parseCheckin } from '../../../src/apple/wire/checkin.ts'
import { readCommand } from '../../../src/apple/wire/command.ts'
import { WireError } from '../../../src/apple/wire/error.ts'
import { decodePlist, type PlistValue } from '../../../src/apple/wire/plist.ts'
import { encodePlist } from '../../../src/apple/wire/plist-writer.ts'
import { parseReport } from '../../../src/apple/wire/report.ts'
import { anyValue, below, pick, seeded, spelled, type Random } from './plist-generator.ts'
import { reasonOf } from './reason-of.ts'
import { sample, sampleNames } from './samples.ts'

const MUTANTS = 12_000
const SEED = 20_261_125
const PIECES = [
  '<', '>', '/', '&', ';', '"', '<!--', '-->', '--', '<![CDATA[', ']]>', '<?', '?>', '<!DOCTYPE plist [', ']>', '&#',
  '&#x', '&amp;', '<dict>', '</dict>', '<dict/>', '<array>', '</array>', '<key>', '</key>', '<key>__proto__</key>',
  '<string>', '</string>', '<integer>', '<data>', '<true/>', '</plist>', 'bplist00', '\u0000', '\r', '\uFEFF',
  '\u{1F600}', '0x', '=',
] as const

describe('mutated documents', () => {
  it('are read or refused with a WireError, and what was read can be written again', () => {
    const random = seeded(SEED)
    const corpus = documents(random)
    let read = 0
    for (let i = 0; i < MUTANTS; i++) {
      const mutant = mutate(random, pick(random, corpus))
      const value = outcome(() => decodePlist(mutant), mutant)
      if (value !== undefined && survives(value)) read++
      for (const parse of [parseCheckin, parseReport, readCommand]) outcome(() => parse(mutant), mutant)
    }
    // Both ways are walked: a mutator that breaks everything, or nothing, would prove little.
    expect(read).toBeGreaterThan(MUTANTS / 50)
    expect(read).toBeLessThan(MUTANTS / 2)
    expect(Object.keys(Object.prototype)).toEqual([])
  })
})

function documents(random: Random): [Buffer, ...Buffer[]] {
  const generated = Array.from({ length: 60 }, () => Buffer.from(spelled(random, anyValue(random, 4))))
  const valid = sampleNames('valid').map((name) => sample('valid', name))
  const hostile = sampleNames('hostile').map((name) => sample('hostile', name)).filter((body) => body.length < 4096)
  return [Buffer.alloc(0), ...generated, ...valid, ...hostile]
}

function mutate(random: Random, document: Buffer): Buffer {
  let mutant = document
  for (let i = below(random, 3); i >= 0; i--) mutant = mutateOnce(random, mutant)
  return mutant
}

function mutateOnce(random: Random, document: Buffer): Buffer {
  const at = below(random, document.length + 1)
  const length = below(random, 24)
  const before = document.subarray(0, at)
  const cut = document.subarray(at, at + length)
  const after = document.subarray(at + length)
  switch (below(random, 6)) {
    case 0: return Buffer.concat([before, after])
    case 1: return Buffer.concat([before, cut, cut, after])
    case 2: return Buffer.concat([before, Buffer.from(pick(random, PIECES)), cut, after])
    case 3: return Buffer.concat([before, Buffer.from(pick(random, PIECES)), after])
    case 4: return Buffer.concat([before, Buffer.from([below(random, 256)]), cut.subarray(1), after])
    default: return before
  }
}

/** The result, or undefined for a WireError. Anything else fails with the mutant that did it. */
function outcome<T>(act: () => T, mutant: Buffer): T | undefined {
  try {
    return act()
  } catch (error) {
    if (error instanceof WireError) return undefined
    throw new Error(`mutant ${mutant.toString('base64')}`, { cause: error })
  }
}

/** Whether writing and reading gives the same again. Only reals that are no number may be read and not written. */
function survives(value: PlistValue): boolean {
  const reason = reasonOf(() => encodePlist(value))
  if (reason === 'accepted') expect(encodePlist(decodePlist(encodePlist(value)))).toEqual(encodePlist(value))
  else expect(reason).toBe('real')
  return reason === 'accepted'
}
