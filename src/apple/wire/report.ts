import { CHANNEL_KEYS, readChannel, type ChannelAddress } from './channel.ts'
import { WireError } from './error.ts'
import { decodePlist, plistDict, type PlistDict, type PlistValue } from './plist.ts'
import { isPlistDict, newPlistDict } from './plist-value.ts'

const STATUSES = ['Idle', 'Acknowledged', 'Error', 'CommandFormatError', 'NotNow'] as const
const ENVELOPE_KEYS: ReadonlySet<string> = new Set([...CHANNEL_KEYS, 'Status', 'CommandUUID', 'ErrorChain'])
const COMMAND_UUID = /^[\x20-\x7E]{1,64}$/

export type ReportStatus = typeof STATUSES[number]

/**
 * What a device says on the command channel. `commandUuid` is absent only for Idle. `errorChain` begins with the
 * top-level error, its causes follow. `fields` are the other keys as sent: the answer to the command.
 */
export interface Report {
  status: ReportStatus
  commandUuid?: string
  errorChain: ErrorChainItem[]
  channel: ChannelAddress
  fields: PlistDict
}

/** One error as the device tells it. Codes and domains change between releases: to store and show, not to branch on. */
export interface ErrorChainItem {
  errorCode: number
  errorDomain: string
  localizedDescription?: string
  usEnglishDescription?: string
}

/**
 * Reads the body of a request to the ServerURL (Apple: Commands and queries). Throws WireError: whatever `decodePlist`
 * and `readChannel` throw, 'status' for a Status that Apple does not define, 'command_uuid' for an answer that does not
 * say to which command. A malformed ErrorChain is no reason to refuse an answer: the device would send it for ever.
 */
export function parseReport(body: Uint8Array): Report {
  const dict = plistDict(decodePlist(body))
  const status = readStatus(dict['Status'])
  const report = {
    status, channel: readChannel(dict), errorChain: readErrorChain(dict['ErrorChain']), fields: answerFields(dict),
  }
  return status === 'Idle' ? report : { ...report, commandUuid: readCommandUuid(dict['CommandUUID']) }
}

function readStatus(value: PlistValue | undefined): ReportStatus {
  const status = STATUSES.find((known) => known === value)
  if (status === undefined) throw new WireError('status', 'unknown Status')
  return status
}

function readCommandUuid(value: PlistValue | undefined): string {
  if (typeof value !== 'string') throw new WireError('command_uuid', 'CommandUUID missing or not a string')
  if (!COMMAND_UUID.test(value)) throw new WireError('command_uuid', 'not 1 to 64 printable characters')
  return value
}

function answerFields(dict: PlistDict): PlistDict {
  const fields = newPlistDict()
  for (const [key, value] of Object.entries(dict)) {
    if (!ENVELOPE_KEYS.has(key)) fields[key] = value
  }
  return fields
}

function readErrorChain(value: PlistValue | undefined): ErrorChainItem[] {
  return Array.isArray(value) ? value.filter(isPlistDict).map(readError) : []
}

function readError(item: PlistDict): ErrorChainItem {
  const { ErrorCode: code, ErrorDomain: domain, LocalizedDescription: localized, USEnglishDescription: english } = item
  return {
    errorCode: typeof code === 'number' || typeof code === 'bigint' ? Number(code) : 0,
    errorDomain: typeof domain === 'string' ? domain : '',
    ...(typeof localized === 'string' && { localizedDescription: localized }),
    ...(typeof english === 'string' && { usEnglishDescription: english }),
  }
}
