import { z } from 'zod'
import { readCommand } from '../../apple/wire/command.ts'
import { WireError } from '../../apple/wire/error.ts'
import { plistFromJson, type Json } from '../../apple/wire/json.ts'
import { plistDict } from '../../apple/wire/plist.ts'
import { durationMs } from '../../base/duration.ts'
import { readJsonBody } from '../../base/json-body.ts'
import { Problem } from '../../base/problem.ts'
import type { CommandRequest } from './enqueue.ts'

const options = {
  expires_in: z.string().optional().describe('90s, 15m, 72h or 7d: not delivered later than that'),
  not_before: z.iso.datetime({ offset: true }).optional().describe('Not delivered earlier'),
  force: z.boolean().optional().describe('Queue it although the check says that this device cannot do it'),
}

/** A command as JSON: Apple's RequestType as `type`, the rest of its Command dictionary by Apple's names as `params`. */
export const commandRequest = z.strictObject({ type: z.string().min(1).max(100), params: z.record(z.string(), z.unknown()).optional(), ...options })

/** The same, flat: Apple's Command dictionary as it is, with our options (lower case) beside it. */
export const flatRequest = z.object({ RequestType: z.string().min(1).max(100), ...options }).catchall(z.unknown())

export type JsonRequest = z.output<typeof commandRequest> | z.output<typeof flatRequest>

/** What a raw body holds: an Apple plist (kept byte for byte when it has a CommandUUID), or JSON. */
export function readRequest(body: Buffer, now: Date): CommandRequest & { force: boolean } {
  if (body.length === 0) throw new Problem('malformed_request', 'The body is empty; send a command as JSON or as Apple plist')
  const text = body.subarray(0, 64).toString('latin1').trimStart()
  return text.startsWith('{') ? readJson(readJsonBody(body), now) : readPlist(body)
}

/** Reads a command given as JSON. Throws validation_failed with JSON Pointers. */
export function readJson(value: unknown, now: Date): CommandRequest & { force: boolean } {
  const flat = typeof value === 'object' && value !== null && 'RequestType' in value
  const parsed = (flat ? flatRequest : commandRequest).safeParse(value)
  if (!parsed.success) {
    const errors = parsed.error.issues.map((issue) => ({ pointer: `/${issue.path.map(String).join('/')}`, code: issue.code, detail: issue.message }))
    throw new Problem('validation_failed', undefined, { errors })
  }
  const { expires_in, not_before, force, ...rest } = parsed.data
  const { requestType, params } = 'type' in rest && !flat
    ? { requestType: String(rest.type), params: (rest.params ?? {}) as Record<string, Json> }
    : { requestType: String((rest as { RequestType: string }).RequestType), params: rest as Record<string, Json> }
  return {
    requestType,
    command: plistOf({ ...params, RequestType: requestType }),
    expiresAt: expires_in === undefined ? undefined : new Date(now.getTime() + durationMs(expires_in, '/expires_in')),
    notBefore: not_before === undefined ? undefined : new Date(not_before),
    force: force === true,
  }
}

function plistOf(params: Record<string, Json>) {
  try {
    return plistDict(plistFromJson(params))
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    throw new Problem('validation_failed', error.message, { errors: [{ pointer: '/params', code: error.reason, detail: error.message }] })
  }
}

function readPlist(body: Buffer): CommandRequest & { force: boolean } {
  try {
    const { commandUuid, ...read } = readCommand(body)
    return { ...read, force: false, ...(commandUuid !== undefined && { uuid: commandUuid, bytes: body }) }
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    throw new Problem('validation_failed', `The body is neither JSON nor an Apple command: ${error.message}`)
  }
}
