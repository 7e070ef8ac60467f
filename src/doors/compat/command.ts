import { WireError } from '../../apple/wire/error.ts'
import { decodePlist, plistDict, type PlistDict } from '../../apple/wire/plist.ts'

export interface Command {
  uuid: string
  requestType: string
}

// What a device may name in its report (apple/wire/report.ts): under another one it could never be answered.
const ANSWERABLE = /^[\x20-\x7E]{1,64}$/

/** What upstream asks of a command and no more: a CommandUUID and a RequestType. Gives the complaint otherwise. */
export function readRawCommand(body: Buffer): Command | string {
  try {
    const dict = plistDict(decodePlist(body))
    const [uuid, requestType] = [dict['CommandUUID'], dictOf(dict['Command'])['RequestType']]
    if (typeof uuid !== 'string' || uuid === '') return 'empty CommandUUID'
    if (!ANSWERABLE.test(uuid)) return 'CommandUUID is not 1 to 64 printable characters'
    if (typeof requestType !== 'string' || requestType === '') return 'empty RequestType'
    return { uuid, requestType }
  } catch (error) {
    if (error instanceof WireError) return error.message
    throw error
  }
}

function dictOf(value: PlistDict[string] | undefined): PlistDict {
  return value === undefined ? {} : plistDict(value)
}
