import type { PlistDict } from '../wire/plist.ts'
import { commands, type CommandSchema } from './catalogue.ts'
import { checkKeys } from './check-keys.ts'
import type { DeviceFacts } from './device-facts.ts'
import { newFindings, type CommandFinding, type Findings } from './finding.ts'
import { commandObstacles, isAbsence } from './limits.ts'
import { didYouMean, quote } from './wording.ts'

export type { DeviceFacts } from './device-facts.ts'
export type { CommandFinding } from './finding.ts'

/**
 * Judges a command (Apple's key names, RequestType among them) against Apple's schema and what is known of the device.
 * Empty when nothing speaks against it. What is not known of the device speaks against nothing, except where only some
 * devices of its kind can do it; that is a warning.
 */
export function checkCommand(command: PlistDict, device: DeviceFacts): CommandFinding[] {
  const findings = newFindings()
  const type = command['RequestType']
  if (typeof type === 'string') checkType(type, command, device, findings)
  else {
    const code = type === undefined ? 'missing_key' : 'wrong_type'
    findings.note({ level: 'refusal', code, pointer: '/RequestType' }, () => 'A command needs a RequestType: a string.')
  }
  return findings.list
}

/** Every RequestType of Apple's schema, in the order of its names. */
export function commandTypes(): string[] {
  return [...commands.keys()]
}

function checkType(type: string, command: PlistDict, device: DeviceFacts, findings: Findings): void {
  const schema = commands.get(type)
  if (!schema) {
    return findings.note({ level: 'refusal', code: 'unknown_request_type', pointer: '/RequestType' }, () =>
      `Apple describes no command ${quote(type)}.${didYouMean(type, commands.keys())}`)
  }
  const obstacles = commandObstacles(schema.on, device)
  for (const { reason, ...obstacle } of obstacles) {
    findings.note({ ...obstacle, pointer: '' }, () => `${type} ${reason}.`)
  }
  // Of a command that the device does not have, nothing else is worth saying.
  if (obstacles.some(isAbsence)) return
  checkNeedsOne(schema, type, command, findings)
  checkKeys(schema.keys, command, { name: type, pointer: '', device, findings })
}

function checkNeedsOne({ needsOne = [] }: CommandSchema, type: string, command: PlistDict, findings: Findings): void {
  const [first] = needsOne
  if (first === undefined || needsOne.some((key) => command[key] !== undefined)) return
  const finding = { level: 'refusal', code: 'missing_key', pointer: `/${first}` } as const
  findings.note(finding, () => `${type} needs one of ${needsOne.join(', ')}.`)
}
