import { describe, expect, it } from 'vitest'
import { commands, rights, type KeySchema, type Limits, type Placed } from '../../../src/apple/catalogue/catalogue.ts'
import { checkCommand, type DeviceFacts } from '../../../src/apple/catalogue/check-command.ts'
import type { PlistDict, PlistValue } from '../../../src/apple/wire/plist.ts'

const PLATFORMS = ['iOS', 'macOS', 'tvOS', 'visionOS', 'watchOS']
const SAMPLES: Record<string, PlistValue> = {
  string: 'x', boolean: true, integer: 1, data: Buffer.from('x'), array: [], dictionary: {}, any: 'x',
}

/** The newest device that has it, with everything it asks for. */
function fitting(platform: string, limits: Limits): DeviceFacts {
  const forUsers = limits.sharedIpad === 'userChannel' || limits.channels?.includes('device') === false
  const end = limits.removed === undefined ? '27.0' : `${Number.parseInt(limits.removed, 10) - 1}.9`
  return {
    platform: platform === 'iOS' ? 'ipados' : platform.toLowerCase(),
    osVersion: end,
    supervised: true,
    accessRights: 8191,
    channel: forUsers ? 'user' : 'device',
    userEnrollment: false,
    automatedEnrollment: true,
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

it.each(everyCommand)('lets the least $type through to a fitting $platform', ({ type, platform, limits, schema }) => {
  const [one] = schema.needsOne ?? []
  const extra = one === undefined ? {} : { [one]: sample(schema.keys[one]!, platform) }
  const command = { ...minimal(schema.keys, platform), ...extra, RequestType: type }
  expect(checkCommand(command, fitting(platform, limits))).toEqual([])
})

const settings = commands.get('Settings')!
const variants = settings.keys['Settings']!.items!.variants!
const everySetting = Object.entries(variants).flatMap(([item, variant]) =>
  PLATFORMS.filter((platform) => !variant.notOn?.includes(platform)).map((platform) => ({ item, platform, variant })))

it.each(everySetting)('lets the setting $item through to a fitting $platform', ({ item, platform, variant }) => {
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

const everyKey = [...commands.values()].flatMap(({ keys }) => Object.values(keys))
const everyPart = everyKey.flatMap((key) => [...parts(key)])
const everywhere = [...commands.values(), ...everyPart]
const everyLimit = everywhere.flatMap(({ on = {} }) => Object.values(on))

describe('the data uses only words the interpreter knows', () => {
  const strange = (words: string[], known: string[]) => words.filter((word) => !known.includes(word))

  it('for platforms', () => {
    expect(strange(everywhere.flatMap(({ on = {} }) => Object.keys(on)), PLATFORMS)).toEqual([])
    expect(strange(everyPart.flatMap(({ notOn = [] }) => notOn), PLATFORMS)).toEqual([])
  })

  it('for rights, channels and modes', () => {
    const shared = ['allowed', 'required', 'forbidden', 'ignored', 'userChannel']
    expect(strange(everyLimit.flatMap(({ right = [] }) => right), Object.keys(rights))).toEqual([])
    expect(strange(everyLimit.flatMap(({ channels = [] }) => channels), ['device', 'user'])).toEqual([])
    expect(strange(everyLimit.flatMap(({ sharedIpad = [] }) => sharedIpad), shared)).toEqual([])
    const personal = everyLimit.flatMap(({ userEnrollment = [] }) => userEnrollment)
    expect(strange(personal, ['allowed', 'forbidden'])).toEqual([])
  })

  it('for the names of limits', () => {
    expect(strange(everyLimit.flatMap((limits) => Object.keys(limits)), [
      'introduced', 'removed', 'right', 'rightWaivedFor', 'supervised', 'automatedEnrollment', 'channels', 'sharedIpad',
      'userEnrollment',
    ])).toEqual([])
  })

  it('for versions', () => {
    const versions = everyLimit.flatMap(({ introduced = [], removed = [] }) => [introduced, removed].flat())
    expect(versions.filter((version) => !/^\d+(\.\d+){1,2}$/.test(version))).toEqual([])
  })

  it('for types', () => {
    const known = ['string', 'boolean', 'integer', 'real', 'data', 'date', 'array', 'dictionary', 'any']
    expect(strange(everyPart.flatMap(({ type = [] }) => type), known)).toEqual([])
  })

  it('for what is said of a command or of a key', () => {
    const ofCommands = [...commands.values()].flatMap((schema) => Object.keys(schema))
    expect(strange(ofCommands, ['on', 'needsOne', 'keys'])).toEqual([])
    expect(strange(everyPart.flatMap((part) => Object.keys(part)), [
      'type', 'required', 'enum', 'values', 'range', 'notOn', 'on', 'keys', 'items', 'names', 'tag', 'variants',
    ])).toEqual([])
  })

  it('with elements only in arrays, and keys only in dictionaries', () => {
    expect(everyPart.filter(({ type, items }) => items && type !== 'array')).toEqual([])
    const withKeys = everyPart.filter(({ type, keys, tag }) => type !== undefined && (keys ?? tag) !== undefined)
    expect(withKeys.filter(({ type }) => type !== 'dictionary')).toEqual([])
  })
})

it('every command has at least one platform, and each says on which channels', () => {
  const onEach = [...commands.values()].map(({ on }) => Object.values(on))
  expect(onEach.filter((limits) => limits.length === 0 || limits.some(({ channels }) => !channels?.length))).toEqual([])
})

it('has the thirteen rights, which are all the bits of 8191', () => {
  const bits = Object.values(rights).map(({ bit }) => bit)
  expect(bits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096])
  expect(bits.reduce((sum, bit) => sum + bit, 0)).toBe(8191)
})
