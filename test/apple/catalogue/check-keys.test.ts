import { describe, expect, it } from 'vitest'
import type { KeySchema } from '../../../src/apple/catalogue/catalogue.ts'
import { checkKeys } from '../../../src/apple/catalogue/check-keys.ts'
import type { DeviceFacts } from '../../../src/apple/catalogue/device-facts.ts'
import { newFindings } from '../../../src/apple/catalogue/finding.ts'
import { decodePlist, plistDict, type PlistValue } from '../../../src/apple/wire/plist.ts'
import { PlistReal } from '../../../src/apple/wire/plist-value.ts'

const device: DeviceFacts = {
  platform: 'ios', osVersion: '18.1', supervised: null, accessRights: null, channel: 'device', userEnrollment: false,
}

function details(schema: KeySchema, value: PlistValue): string[] {
  const findings = newFindings()
  checkKeys({ Key: schema }, { Key: value }, { name: 'Test', pointer: '', device, findings })
  return findings.list.map(({ level, detail }) => `${level}: ${detail}`)
}

const SAMPLES: Record<string, PlistValue> = {
  string: 'x', boolean: false, integer: 0, data: Buffer.from('x'), date: new Date(0), array: [], dictionary: {},
}

describe('types', () => {
  it.each(Object.keys(SAMPLES))('%s is itself and nothing else', (type) => {
    const accepted = Object.keys(SAMPLES).filter((other) => details({ type }, SAMPLES[other]!).length === 0)
    expect(accepted).toEqual([type])
  })

  it('any is everything', () => {
    expect(Object.values(SAMPLES).flatMap((value) => details({ type: 'any' }, value))).toEqual([])
  })

  it('a whole number may be larger than a double holds, and may not have a fraction', () => {
    expect(details({ type: 'integer' }, 2n ** 63n)).toEqual([])
    for (const real of [1.5, new PlistReal(1)]) {
      expect(details({ type: 'integer' }, real)).toEqual(['refusal: Key must be a whole number, not a real number.'])
    }
  })

  it('a real number may be whole', () => {
    expect([1, 1.5, new PlistReal(1)].flatMap((value) => details({ type: 'real' }, value))).toEqual([])
  })
})

describe('choices', () => {
  it('outside a strict list are refused', () => {
    expect(details({ type: 'integer', enum: [0, 60] }, 60)).toEqual([])
    expect(details({ type: 'integer', enum: [0, 60] }, 61)).toEqual(['refusal: Key must be one of 0, 60, not "61".'])
    expect(details({ type: 'integer', enum: [0, 60] }, 2n ** 60n)).toHaveLength(1)
  })

  it('outside an open list are a warning', () => {
    const warning = 'warning: Key must be one of those Apple names (a), not "b".'
    expect(details({ type: 'string', values: ['a'] }, 'b')).toEqual([warning])
  })

  it('outside a range are refused, at its ends not', () => {
    const schema = { type: 'real', range: [2, 11] }
    expect([2, 2.5, 11].flatMap((value) => details(schema, value))).toEqual([])
    expect(details(schema, 1.9)).toEqual(['refusal: Key must be from 2 to 11, not "1.9".'])
    expect(details(schema, 12)).toHaveLength(1)
    expect(details({ type: 'integer', range: [0, 9] }, 2n ** 62n)).toHaveLength(1)
  })
})

it('finds every wrong element, by its place', () => {
  const findings = newFindings()
  const element = { type: 'dictionary', keys: { A: { type: 'string', required: true } } }
  const keys = { Keys: { type: 'array', items: element } }
  checkKeys(keys, { Keys: [{ A: 'x' }, { A: 1 }, {}, 'x'] }, { name: 'Test', pointer: '/Above', device, findings })
  expect(findings.list.map(({ code, pointer }) => `${code} ${pointer}`)).toEqual([
    'wrong_type /Above/Keys/1/A', 'missing_key /Above/Keys/2/A', 'wrong_type /Above/Keys/3',
  ])
})

it('asks for no required key that the device does not have', () => {
  const findings = newFindings()
  const keys: Record<string, KeySchema> = {
    Old: { type: 'string', required: true, on: { iOS: { removed: '18.0' } } },
    New: { type: 'string', required: true, on: { iOS: { introduced: '26.0' } } },
    Other: { type: 'string', required: true, notOn: ['iOS'] },
    Supervised: { type: 'string', required: true, on: { iOS: { supervised: true } } },
  }
  checkKeys(keys, {}, { name: 'Test', pointer: '', device, findings })
  expect(findings.list.map(({ pointer }) => pointer)).toEqual(['/Supervised'])
})

it('judges a dict as the plist reader makes it, without a prototype', () => {
  const xml = '<plist version="1.0"><dict><key>Key</key><string>x</string><key>constructor</key><true/></dict></plist>'
  const dict = plistDict(decodePlist(Buffer.from(xml)))
  const findings = newFindings()
  checkKeys({ Key: { type: 'integer' } }, dict, { name: 'Test', pointer: '', device, findings })
  expect(findings.list.map(({ code }) => code)).toEqual(['wrong_type', 'unknown_key'])
})
