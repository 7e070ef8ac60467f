import { describe, expect, it } from 'vitest'
import { commands, rights, type KeySchema, type Limits, type Placed } from '../../../src/apple/catalogue/catalogue.ts'
import { checkCommand, type DeviceFacts } from '../../../src/apple/catalogue/check-command.ts'
import { typeInWords } from '../../../src/apple/catalogue/value-kind.ts'
import type { PlistDict, PlistValue } from '../../../src/apple/wire/plist.ts'

const PLATFORMS = ['iOS', 'macOS', 'tvOS', 'visionOS', 'watchOS']
const SAMPLES: Record<string, PlistValue> = {
  string: 'x', boolean: true, integer: 1, data: Buffer.from('x'), array: [], dictionary: {}, any: 'x',
}

/** The newest device that has it, with everything it asks for. */
function fitting(platform: string, limits: Limits): DeviceFacts {
  const end = limits.removed === undefined ? '27.0' : `${Number.parseInt(limits.removed, 10) - 1}.9`
  return {
    platform: platform === 'iOS' ? 'ipados' : platform.toLowerCase(), osVersion: end, supervised: true, accessRights: 8191,
    channel: limits.channels?.includes('device') === false || limits.sharedIpad === 'userChannel' ? 'user' : 'device',
    userEnrollment: false, automatedEnrollment: true,
    sharedIpad: limits.sharedIpad === 'required' || limits.sharedIpad === 'userChannel',
  }
}

function minimal(keys: Record<string, KeySchema>, platform: string): PlistDict {
  const required = Object.entries(keys).filter(([, schema]) => schema.required && !schema.notOn?.includes(platform))
  return Object.fromEntries(required.map(([key, schema]) => [key, sample(schema, platform)]))
}

function sample(schema: KeySchema, platform: string): PlistValue {
  if (schema.keys) return minimal(schema.keys, platform)
  if (schema.items?.keys) return [minimal(schema.items.keys, platform)]
  return schema.enum?.[0] ?? schema.values?.[0] ?? SAMPLES[schema.type]!
}

const everyCommand = [...commands].flatMap(([type, schema]) =>
  Object.entries(schema.on).map(([platform, limits]) => ({ type, platform, limits, schema })))

it.each(everyCommand)('lets the smallest $type through to a fitting $platform', ({ type, platform, limits, schema }) => {
  const [one] = schema.needsOne ?? []
  const extra = one === undefined ? {} : { [one]: sample(schema.keys[one]!, platform) }
  const command = { ...minimal(schema.keys, platform), ...extra, RequestType: type }
  expect(checkCommand(command, fitting(platform, limits))).toEqual([])
})

const settings = commands.get('Settings')!
const everySetting = Object.entries(settings.keys['Settings']!.items!.variants!).flatMap(([item, variant]) =>
  PLATFORMS.filter((platform) => !variant.notOn?.includes(platform)).map((platform) => ({ item, platform, variant })))

it.each(everySetting)('lets the smallest setting $item through to a fitting $platform', ({ item, platform, variant }) => {
  const limits = { ...settings.on[platform], ...variant.on?.[platform] }
  const command = { RequestType: 'Settings', Settings: [{ ...minimal(variant.keys, platform), Item: item }] }
  expect(checkCommand(command, fitting(platform, limits))).toEqual([])
})

const names = commands.get('DeviceInformation')!.keys['Queries']!.items!.names!

it('lets every query through to a fitting device', () => {
  for (const platform of PLATFORMS) {
    for (const [name, query] of Object.entries(names)) {
      if (query.notOn?.includes(platform)) continue
      const limits = { ...commands.get('DeviceInformation')!.on[platform], ...query.on?.[platform] }
      const command = { RequestType: 'DeviceInformation', Queries: [name] }
      expect(checkCommand(command, fitting(platform, limits)), `${name} on ${platform}`).toEqual([])
    }
  }
})

/** Everything below a command that has a place of its own: keys, elements, variants, queries. */
function* parts(schema: KeySchema): Generator<Placed & Partial<KeySchema>> {
  yield schema
  const { keys = {}, items, variants = {}, names: words = {} } = schema
  yield* Object.values(words)
  for (const inner of [...Object.values(keys), ...(items ? [items] : [])]) yield* parts(inner)
  for (const variant of Object.values(variants)) yield* parts({ ...variant, type: 'dictionary' })
}

const everyPart = [...commands.values()].flatMap((schema) => Object.values(schema.keys).flatMap((key) => [...parts(key)]))
const everyLimit = [...commands.values(), ...everyPart].flatMap(({ on = {} }) => Object.values(on))

describe('the data uses only words the interpreter knows', () => {
  it('for platforms', () => {
    const used = [...commands.values(), ...everyPart].flatMap(({ on = {} }) => Object.keys(on))
    expect(new Set([...used, ...everyPart.flatMap(({ notOn = [] }) => notOn)])).toEqual(new Set(PLATFORMS))
  })

  it('for rights, channels and modes', () => {
    expect(everyLimit.flatMap(({ right = [] }) => right).filter((right) => !Object.hasOwn(rights, right))).toEqual([])
    expect(new Set(everyLimit.flatMap(({ channels = [] }) => channels))).toEqual(new Set(['device', 'user']))
    expect(new Set(everyLimit.flatMap(({ sharedIpad = [] }) => sharedIpad)))
      .toEqual(new Set(['allowed', 'required', 'forbidden', 'ignored', 'userChannel']))
    expect(new Set(everyLimit.flatMap(({ userEnrollment = [] }) => userEnrollment))).toEqual(new Set(['allowed', 'forbidden']))
  })

  it('for the names of limits', () => {
    expect(new Set(everyLimit.flatMap((limits) => Object.keys(limits)))).toEqual(new Set([
      'introduced', 'removed', 'right', 'rightWaivedFor', 'supervised', 'automatedEnrollment', 'channels', 'sharedIpad', 'userEnrollment',
    ]))
  })

  it('for versions', () => {
    const versions = everyLimit.flatMap(({ introduced = [], removed = [] }) => [introduced, removed].flat())
    expect(versions.filter((version) => !/^\d+(\.\d+){1,2}$/.test(version))).toEqual([])
  })

  it('for types, and a list of elements or keys only where it belongs', () => {
    const types = everyPart.flatMap(({ type = [] }) => type)
    expect(types.filter((type) => type !== 'any' && typeInWords(type) === type)).toEqual([])
    expect(everyPart.filter(({ type, items }) => items !== undefined && type !== 'array')).toEqual([])
    expect(everyPart.filter(({ type, keys }) => type !== undefined && keys !== undefined && type !== 'dictionary')).toEqual([])
  })

  it('for what is said of a key', () => {
    expect(new Set(everyPart.flatMap((part) => Object.keys(part)))).toEqual(new Set([
      'type', 'required', 'enum', 'values', 'notOn', 'on', 'keys', 'items', 'names', 'tag', 'variants',
    ]))
  })
})

it('has the thirteen rights, which are all the bits of 8191', () => {
  const bits = Object.values(rights).map(({ bit }) => bit)
  expect(bits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096])
  expect(bits.reduce((sum, bit) => sum + bit, 0)).toBe(8191)
})
