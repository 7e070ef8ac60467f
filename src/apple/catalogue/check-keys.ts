import type { PlistDict, PlistValue } from '../wire/plist.ts'
import { isPlistDict } from '../wire/plist-value.ts'
import type { KeySchema, Placed } from './catalogue.ts'
import type { DeviceFacts } from './device-facts.ts'
import { pointerTo, type CommandFinding, type Findings } from './finding.ts'
import { isAbsence, partObstacles } from './limits.ts'
import { isOfType, kindInWords, typeInWords } from './value-kind.ts'
import { didYouMean, quote } from './wording.ts'

/** A value on its way through the schema. The way is never longer than the schema is deep, whatever the value holds. */
interface Visit {
  name: string
  pointer: string
  device: DeviceFacts
  findings: Findings
}

const TAG: KeySchema = { type: 'string', required: true }

/**
 * Judges the members of a dictionary. A limit on a key is only a warning: the device does what the other keys say, as
 * it does with a key it has never heard of.
 */
export function checkKeys(keys: Record<string, KeySchema>, dict: PlistDict, visit: Visit): void {
  for (const [key, schema] of Object.entries(keys)) {
    if (schema.required && dict[key] === undefined) noteMissing(key, schema, visit)
  }
  for (const [key, value] of Object.entries(dict)) {
    const member = { ...visit, name: key, pointer: pointerTo(visit.pointer, key) }
    // The keys come from JSON, so `toString` would be found on their prototype.
    const schema = Object.hasOwn(keys, key) ? keys[key] : undefined
    if (schema) checkKey(schema, value, member)
    else noteUnknown(keys, member)
  }
}

function noteMissing(key: string, schema: KeySchema, { name, pointer, device, findings }: Visit): void {
  if (partObstacles(schema, device).some(isAbsence)) return
  const finding = { level: 'refusal', code: 'missing_key', pointer: pointerTo(pointer, key) } as const
  findings.note(finding, () => `${name} needs the key ${key}.`)
}

function noteUnknown(keys: Record<string, KeySchema>, { name, pointer, findings }: Visit): void {
  findings.note({ level: 'warning', code: 'unknown_key', pointer }, () =>
    `Apple describes no key ${quote(name)} here; a device ignores it.${didYouMean(name, Object.keys(keys))}`)
}

function checkKey(schema: KeySchema, value: PlistValue, visit: Visit): void {
  const absent = noteObstacles(schema, visit, 'warning')
  if (!absent) checkValue(schema, value, visit)
}

/** True when the device has no such thing at all, so that its value does not matter. */
function noteObstacles(part: Placed, { name, pointer, device, findings }: Visit, level?: 'warning'): boolean {
  const obstacles = partObstacles(part, device)
  for (const { reason, ...obstacle } of obstacles) {
    findings.note({ ...obstacle, level: level ?? obstacle.level, pointer }, () => `${name} ${reason}.`)
  }
  return obstacles.some(isAbsence)
}

function checkValue(schema: KeySchema, value: PlistValue, visit: Visit): void {
  const { name, pointer, findings } = visit
  if (!isOfType(schema.type, value)) {
    const detail = () => `${name} must be ${typeInWords(schema.type)}, not ${kindInWords(value)}.`
    findings.note({ level: 'refusal', code: 'wrong_type', pointer }, detail)
  } else if (Array.isArray(value)) checkItems(schema, value, visit)
  else if (isPlistDict(value)) checkDict(schema, value, visit)
  else checkChoice(schema, value, visit)
}

function checkItems({ items }: KeySchema, array: PlistValue[], visit: Visit): void {
  if (!items) return
  for (const [index, item] of array.entries()) {
    const pointer = pointerTo(visit.pointer, index)
    checkValue(items, item, { ...visit, name: `Item ${index + 1} of ${visit.name}`, pointer })
  }
}

function checkDict(schema: KeySchema, dict: PlistDict, visit: Visit): void {
  if (schema.variants && schema.tag !== undefined) checkVariant(schema.variants, schema.tag, dict, visit)
  else if (schema.keys) checkKeys(schema.keys, dict, visit)
}

function checkVariant(variants: NonNullable<KeySchema['variants']>, tag: string, dict: PlistDict, visit: Visit): void {
  const word = dict[tag]
  const tagged = { ...visit, name: tag, pointer: pointerTo(visit.pointer, tag) }
  if (word === undefined) return noteMissing(tag, TAG, visit)
  if (typeof word !== 'string') return checkValue(TAG, word, tagged)
  const variant = Object.hasOwn(variants, word) ? variants[word] : undefined
  if (!variant) {
    const detail = () => `Apple describes no ${tag} ${quote(word)}.${didYouMean(word, Object.keys(variants))}`
    return visit.findings.note({ level: 'refusal', code: 'wrong_value', pointer: tagged.pointer }, detail)
  }
  const absent = noteObstacles(variant, { ...visit, name: word })
  if (!absent) checkKeys(variant.keys, dict, { ...visit, name: word })
}

function checkChoice(schema: KeySchema, value: PlistValue, visit: Visit): void {
  const choice = typeof value === 'bigint' ? Number(value) : value
  if (typeof choice !== 'string' && typeof choice !== 'number') return
  const complain = (level: CommandFinding['level'], expected: string) =>
    visit.findings.note({ level, code: 'wrong_value', pointer: visit.pointer }, () =>
      `${visit.name} must be ${expected}, not ${quote(choice)}.`)
  const { enum: all, values: some, range: [least = -Infinity, most = Infinity] = [] } = schema
  if (all?.includes(choice) === false) complain('refusal', `one of ${all.join(', ')}`)
  if (some?.includes(choice) === false) complain('warning', `one of those Apple names (${some.join(', ')})`)
  if (typeof choice === 'number' && (choice < least || choice > most)) complain('refusal', `from ${least} to ${most}`)
  if (schema.names && typeof choice === 'string') checkName(schema.names, choice, visit)
}

/** A device leaves out of its answer what it does not know or may not tell, and answers the rest. */
function checkName(names: Record<string, Placed>, word: string, visit: Visit): void {
  const known = Object.hasOwn(names, word) ? names[word] : undefined
  if (known) return void noteObstacles(known, { ...visit, name: word }, 'warning')
  visit.findings.note({ level: 'warning', code: 'wrong_value', pointer: visit.pointer }, () =>
    `Apple describes no ${quote(word)} here; a device ignores it.${didYouMean(word, Object.keys(names))}`)
}
