import type { EncodableDict } from '../apple/wire/plist-writer.ts'
import type { PlistDict, PlistValue } from '../apple/wire/plist.ts'
import type { DeviceMemory, UserChannel } from './device-memory.ts'
import type { ErrorItem } from './error-chain.ts'

/**
 * What follows from a command besides its report. `update_enrollment` comes before the report (a new identity may
 * fail), and so does `log_out` of whoever uses a Shared iPad; the others come after it.
 */
export type Consequence =
  | { kind: 'erase' }
  | { kind: 'unenroll' }
  | { kind: 'power_off' }
  | { kind: 'log_out' }
  | { kind: 'update_enrollment'; profileXml: Buffer }

/** What a device reports about one command; `fields` stand at the top level of the report. */
export interface Answer {
  status: 'Acknowledged' | 'Error' | 'CommandFormatError' | 'NotNow'
  fields?: EncodableDict
  errorChain?: ErrorItem[]
  consequence?: Consequence
}

/**
 * Carries out one command: changes `phone.state` as the command says and gives the answer. `command` is the inner
 * dict. On the channel of a user, `user` is whose.
 */
export type AnswerFunction = (phone: DeviceMemory, command: PlistDict, now: Date, user?: UserChannel) => Answer

export function acknowledged(fields?: EncodableDict, consequence?: Consequence): Answer {
  return { status: 'Acknowledged', ...(fields && { fields }), ...(consequence && { consequence }) }
}

export function failed(...errorChain: ErrorItem[]): Answer {
  return { status: 'Error', errorChain }
}

export function badFormat(...errorChain: ErrorItem[]): Answer {
  return { status: 'CommandFormatError', errorChain }
}

/** The value of a key if it is a string. */
export function stringOf(value: PlistValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** The strings in a value that should be an array of them; undefined when it is none. */
export function stringsOf(value: PlistValue | undefined): string[] | undefined {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : undefined
}
