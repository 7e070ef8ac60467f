import { allows, type Principal } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import { enqueueForMany, isDestructive, type EnqueueOutcome } from '../../features/commands/index.ts'
import { findNamed, type NamedChannel } from '../../features/enrollments/index.ts'
import type { Clients } from '../../features/push/index.ts'
import { readRawCommand, type Command } from './command.ts'
import { push, pushInto } from './push.ts'
import type { Result } from './result.ts'

export interface EnqueueCall {
  ids: string[]
  body: Buffer
  noPush: boolean
  principal: Principal
}

/** Until then the pushes of this call have the wakes for themselves; if we die before, any sender takes them over. */
const OURS_MS = 60_000

const WHY_NOT: Record<EnqueueOutcome, string | undefined> = {
  queued: undefined,
  repeated: undefined,
  withdrawn: 'this command ended before the device answered it; send it under a new CommandUUID',
  uuid_taken: 'this CommandUUID was used before for another command',
  not_enrolled: 'enrollment is not active',
}

/** `/v1/enqueue/{ids}`: one raw command for all ids, byte for byte, in one unit of work; then the pushes. */
export async function enqueue(deps: Deps, clients: Clients, call: EnqueueCall): Promise<Result> {
  const result: Result = { status: new Map(call.ids.map((id) => [id, {}])), noPush: call.noPush }
  if (call.ids.length === 0) return { ...result, commandError: 'getting enrollment ids: empty path' }
  if (call.body.length === 0) return call.noPush ? { ...result, commandError: 'must enqueue or push' } : push(deps, clients, call.ids)
  const command = readRawCommand(call.body)
  if (typeof command === 'string') return { ...result, commandError: `decoding command: ${command}` }
  Object.assign(result, { commandUuid: command.uuid, requestType: command.requestType })
  if (isDestructive(command.requestType) && !allows(call.principal, 'actions:destructive')) {
    return { ...result, commandError: `${command.requestType} needs the scope actions:destructive` }
  }
  const channels = await queue(deps, call, command, result)
  if (!call.noPush) await pushInto(deps, clients, result, channels)
  return result
}

/** Queues for every id that it can be queued for, writes the errors of the others, and returns the channels that have it now. */
async function queue(deps: Deps, { body, noPush, principal }: EnqueueCall, command: Command, result: Result): Promise<NamedChannel[]> {
  const channels = await findNamed(deps.db.read, [...result.status.keys()])
  const outcomes = await deps.work({ kind: 'key', id: principal.id }, (work) => (
    enqueueForMany(deps, work, channels.map((channel) => channel.id), {
      ...command, bytes: body, wakeAt: noPush ? undefined : new Date(work.now.getTime() + OURS_MS),
    })
  ))
  const byName = new Map(channels.map((channel) => [channel.name, channel]))
  for (const [id, one] of result.status) {
    const channel = byName.get(id)
    const outcome = channel && outcomes.get(channel.id)
    const error = outcome === undefined ? 'no such enrollment' : WHY_NOT[outcome]
    if (error !== undefined) one.command_error = error
  }
  return channels.filter((channel) => result.status.get(channel.name)?.command_error === undefined)
}
