import { WireError } from './error.ts'
import { decodePlist, plistDict, type PlistDict, type PlistValue } from './plist.ts'
import { encodePlist, type EncodableDict } from './plist-writer.ts'

const COMMAND_UUID = /^[A-Za-z0-9_.:-]{1,64}$/
const REQUEST_TYPE = /^[A-Za-z0-9_.-]{1,128}$/
const ENVELOPE_KEYS: ReadonlySet<string> = new Set(['CommandUUID', 'Command', 'RequestRequiresNetworkTether'])

/** A command with Apple's key names; members that are undefined are left out. */
export interface CommandFields extends EncodableDict {
  readonly RequestType: string
}

/** What stands beside the command in its envelope. */
export interface CommandOptions {
  /** The device waits for a tethered network before it carries the command out. */
  requestRequiresNetworkTether?: boolean | undefined
}

/** A command as an administrator sent it; without `commandUuid` the server gives it one. */
export interface RawCommand extends CommandOptions {
  commandUuid?: string
  requestType: string
  command: PlistDict
}

/**
 * The body that hands a command to a device (Apple: Commands and queries). Throws WireError 'command_uuid',
 * 'request_type', or what `encodePlist` throws.
 */
export function encodeCommand(uuid: string, command: CommandFields, options: CommandOptions = {}): Buffer {
  return encodePlist({
    Command: { ...command, RequestType: readRequestType(command.RequestType) },
    CommandUUID: readCommandUuid(uuid),
    RequestRequiresNetworkTether: options.requestRequiresNetworkTether,
  })
}

/**
 * Reads a command plist from an administrator: the full form `{CommandUUID, Command: {RequestType, …}}`, or only the
 * inner dict. Throws WireError: what `decodePlist` throws, 'key' for a mixture of both or unknown keys beside Command,
 * 'command_uuid', 'request_type', 'type'.
 */
export function readCommand(bytes: Uint8Array): RawCommand {
  const dict = plistDict(decodePlist(bytes))
  const inner = dict['Command']
  // Half of each form is neither: a CommandUUID beside a RequestType would be lost.
  const stray = Object.keys(dict).some((key) => ENVELOPE_KEYS.has(key) === (inner === undefined))
  if (stray) throw new WireError('key', 'expected CommandUUID and Command, or only what a Command holds')
  const command = inner === undefined ? dict : plistDict(inner)
  return { ...readEnvelope(dict), requestType: readRequestType(command['RequestType']), command }
}

function readEnvelope(dict: PlistDict): Pick<RawCommand, 'commandUuid' | 'requestRequiresNetworkTether'> {
  const { CommandUUID: uuid, RequestRequiresNetworkTether: tether } = dict
  if (tether !== undefined && typeof tether !== 'boolean') throw new WireError('type', 'RequestRequiresNetworkTether')
  return {
    ...(uuid !== undefined && { commandUuid: readCommandUuid(uuid) }),
    ...(tether !== undefined && { requestRequiresNetworkTether: tether }),
  }
}

function readCommandUuid(value: PlistValue): string {
  if (typeof value === 'string' && COMMAND_UUID.test(value)) return value
  throw new WireError('command_uuid', 'expected 1 to 64 letters, digits or any of - _ . :')
}

function readRequestType(value: PlistValue | undefined): string {
  if (typeof value === 'string' && REQUEST_TYPE.test(value)) return value
  throw new WireError('request_type', 'RequestType missing or not a name')
}
