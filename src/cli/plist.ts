import { Command } from 'commander'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { commands, type KeySchema } from '../apple/catalogue/catalogue.ts'
import { encodeCommand } from '../apple/wire/command.ts'
import { plistFromJson, type Json } from '../apple/wire/json.ts'
import type { PlistDict, PlistValue } from '../apple/wire/plist.ts'
import { closest } from '../base/closest.ts'

/** `bramley plist`: a command as Apple writes it, for `| curl -T - …/v1/enqueue/…`. Asks no server. */
export function plistCommand(): Command {
  return new Command('plist')
    .description("Print a command plist with a fresh CommandUUID; the keys by Apple's names.")
    .argument('<RequestType>', 'such as DeviceInformation')
    .argument('[keys...]', '--Key value; a list by commas or by saying --Key again, data as @file or base64, dictionaries as JSON')
    .allowUnknownOption()
    .addHelpText('after', `
Examples:
  bramley plist DeviceInformation --Queries OSVersion,SerialNumber | curl -u nanomdm:KEY -T - https://mdm.example.com/v1/enqueue/UDID
  bramley plist InstallProfile --Payload @wifi.mobileconfig`)
    .action((requestType: string, keys: string[]) => void process.stdout.write(commandPlist(requestType, keys)))
}

/**
 * The plist of a command, of its RequestType and of `--Key value` or `--Key=value` words. Apple's catalogue says of what type
 * each key is. Throws an Error with one clear line for what it does not know.
 */
export function commandPlist(requestType: string, words: readonly string[], uuid = randomUUID().toUpperCase()): Buffer {
  const schema = commands.get(requestType)
  if (!schema) throw new Error(`there is no command ${requestType}${suggestion(requestType, [...commands.keys()])}`)
  const fields: Record<string, PlistValue> = {}
  for (const [name, texts] of pairsOf(words)) {
    const key = Object.hasOwn(schema.keys, name) && name !== 'RequestType' ? schema.keys[name] : undefined
    const known = Object.keys(schema.keys).filter((one) => one !== 'RequestType')
    if (!key) throw new Error(`${requestType} has no key ${name}${suggestion(name, known) || `; it has ${known.join(', ') || 'none'}`}`)
    fields[name] = valueOf(`--${name}`, key, texts)
  }
  return encodeCommand(uuid, { ...fields, RequestType: requestType })
}

function suggestion(name: string, known: string[]): string {
  const near = closest(name, known)
  return near === undefined ? '' : `; did you mean ${near}?`
}

function pairsOf(words: readonly string[]): Map<string, string[]> {
  const pairs = new Map<string, string[]>()
  for (let i = 0; i < words.length; i++) {
    const [, name, inline] = /^--([A-Za-z]\w*)(?:=(.*))?$/s.exec(words[i] ?? '') ?? []
    if (name === undefined) throw new Error(`expected --Key value, not ${words[i]}`)
    const value = inline ?? words[++i]
    if (value === undefined) throw new Error(`--${name} needs a value`)
    pairs.set(name, [...(pairs.get(name) ?? []), value])
  }
  return pairs
}

function valueOf(flag: string, schema: KeySchema, texts: string[]): PlistValue {
  if (schema.type === 'array') return arrayOf(flag, schema.items, texts)
  const [text = '', another] = texts
  if (another !== undefined) throw new Error(`${flag} is no list; give it once`)
  return scalarOf(flag, schema.type, text)
}

function arrayOf(flag: string, items: KeySchema | undefined, texts: string[]): PlistValue[] {
  if (items?.type === 'dictionary' || items === undefined) return texts.flatMap((text) => [fromJson(flag, text)].flat())
  return texts.flatMap((text) => text.split(',')).map((text) => scalarOf(flag, items.type, text))
}

function scalarOf(flag: string, type: string, text: string): PlistValue {
  switch (type) {
    case 'string': return text
    case 'boolean': return wordOf(flag, text)
    case 'integer': return numberOf(flag, /^-?\d{1,15}$/, text)
    case 'real': return numberOf(flag, /^-?\d+(\.\d+)?$/, text)
    case 'data': return dataOf(flag, text)
    case 'date': return dateOf(flag, text)
    default: return fromJson(flag, text)
  }
}

function wordOf(flag: string, text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new Error(`${flag} must be true or false`)
  return text === 'true'
}

function numberOf(flag: string, shape: RegExp, text: string): number {
  if (!shape.test(text)) throw new Error(`${flag} must be a number`)
  return Number(text)
}

function dateOf(flag: string, text: string): Date {
  const date = new Date(text)
  if (Number.isNaN(date.getTime())) throw new Error(`${flag} must be a date such as 2026-12-31T08:00:00Z`)
  return date
}

function dataOf(flag: string, text: string): Buffer {
  if (text.startsWith('@')) return readFileSync(text.slice(1))
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length === 0 || bytes.toString('base64') !== text) throw new Error(`${flag} must be @file or base64`)
  return bytes
}

function fromJson(flag: string, text: string): PlistValue | PlistDict {
  try {
    return plistFromJson(JSON.parse(text) as Json)
  } catch (error) {
    throw new Error(`${flag} must be JSON`, { cause: error })
  }
}
