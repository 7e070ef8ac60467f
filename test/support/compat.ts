import { randomUUID } from 'node:crypto'
import { encodeCommand } from '../../src/apple/wire/command.ts'
import { KEY, type Answer, type TestServer } from './bramley.ts'

/** The answer of push and enqueue. */
export interface Result {
  status?: Record<string, { push_error?: string; push_result?: string; command_error?: string }>
  no_push?: boolean
  push_error?: string
  command_error?: string
  command_uuid?: string
  request_type?: string
}

export const APNS_ID = /^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/

/** How those who come from NanoMDM say who they are. */
export const basic = (user = 'nanomdm', key = KEY) => ({ authorization: `Basic ${Buffer.from(`${user}:${key}`).toString('base64')}` })

/** A raw command. */
export const command = (uuid: string = randomUUID(), requestType = 'ProfileList') => encodeCommand(uuid, { RequestType: requestType })

export const resultOf = (answer: Answer) => answer.json<Result>()

/** Calls NanoMDM's API of a server, by Basic with the test's key unless `headers` say otherwise. */
export function call(server: TestServer, method: string, path: string, body?: Buffer | string, headers: Record<string, string> = {}): Promise<Answer> {
  return server.http(method, path, { headers: { ...basic(), ...headers }, ...(body !== undefined && { body }) })
}

/** The CommandUUIDs that wait for a device, in order. */
export async function queued(server: TestServer, udid: string): Promise<string[]> {
  const rows = await server.db.query<{ command_uuid: string }>(
    'select c.command_uuid from commands c join enrollments e on e.id = c.enrollment_id where e.device_key = $1 order by c.seq', [udid])
  return rows.map((row) => row.command_uuid)
}

/** A new API key with these scopes. */
export async function keyWith(server: TestServer, ...scopes: string[]): Promise<string> {
  return (await server.api('POST', '/api-keys', { name: 'compat test', scopes })).json<{ token: string }>().token
}
