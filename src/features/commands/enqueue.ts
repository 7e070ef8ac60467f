import { randomUUID } from 'node:crypto'
import { encodeCommand } from '../../apple/wire/command.ts'
import type { PlistDict } from '../../apple/wire/plist.ts'
import type { Deps } from '../../base/deps.ts'
import { newId, type CommandId, type DeviceId, type EnrollmentId } from '../../base/ids.ts'
import { Problem } from '../../base/problem.ts'
import { actorName, type Work } from '../../base/work.ts'
import { lock } from '../enrollments/index.ts'
import { wake } from '../push/index.ts'
import { isQuery, replacesKey } from './kinds.ts'
import * as store from './store.ts'

/** What an administrator wants a device to do. */
export interface CommandRequest {
  requestType: string
  /** The Command dictionary by Apple's names, RequestType included. */
  command: PlistDict
  /** A CommandUUID of the caller's; ours otherwise. */
  uuid?: string | undefined
  /** The exact bytes to hand out (they hold the uuid); made from `command` otherwise. */
  bytes?: Buffer | undefined
  /** Apple: the device waits for a tethered network before it carries the command out. */
  requestRequiresNetworkTether?: boolean | undefined
  notBefore?: Date | undefined
  expiresAt?: Date | undefined
  forced?: boolean
}

/** Where a command goes. */
export interface Target {
  enrollment: EnrollmentId
  device: DeviceId
}

/**
 * Puts a command in the queue and asks the device to come: both or neither. An undelivered query that asks the same is not
 * queued twice. Returns the command's id and whether it was there already.
 * Throws Problems: device_unenrolled, command_uuid_taken.
 */
export async function enqueue(deps: Deps, work: Work, target: Target, request: CommandRequest): Promise<{ id: CommandId; deduplicated: boolean }> {
  const locked = await lock(work.tx, target.enrollment)
  if (locked.state !== 'enrolled') throw new Problem('device_unenrolled')
  const contentHash = isQuery(request.requestType) ? fingerprint(deps, request) : null
  const same = contentHash && request.uuid === undefined ? await store.findSame(work.tx, target.enrollment, contentHash) : undefined
  if (same) return { id: same, deduplicated: true }
  const uuid = request.uuid ?? randomUUID().toUpperCase()
  if (await store.uuidUsed(work.tx, target.enrollment, uuid)) throw new Problem('command_uuid_taken')
  const id = newId('cmd')
  const key = replacesKey(request.command)
  if (key) await supersede(work, target, key, id)
  const body = request.bytes ?? encodeCommand(uuid, { ...request.command, RequestType: request.requestType }, request)
  const bodyId = await store.insertBody(work.tx, (place) => deps.vault.seal(body, place))
  await store.insert(work, target.enrollment, bodyId, {
    id, uuid, requestType: request.requestType, contentHash, replacesKey: key, notBefore: request.notBefore ?? null, expiresAt: request.expiresAt ?? null,
  }, actorName(work.actor))
  await work.emit({ type: 'command.queued', device: target.device, command: id, request_type: request.requestType, forced: request.forced ?? false })
  await wake(work, [target.enrollment], request.notBefore)
  return { id, deduplicated: false }
}

/** Of the content, whatever order its keys came in. */
function fingerprint(deps: Deps, request: CommandRequest): Buffer {
  const sorted = Object.fromEntries(Object.entries(request.command).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  const bytes = encodeCommand('-', { RequestType: request.requestType, ...sorted })
  return deps.vault.fingerprint(bytes.toString('latin1'), 'command')
}

/** Where only the last counts, an older undelivered command ends and names its successor. */
async function supersede(work: Work, target: Target, key: string, successor: CommandId): Promise<void> {
  const reason = `replaced by ${successor}`
  for (const ended of await store.endReplaced(work, target.enrollment, key, { state: 'superseded', by: actorName(work.actor), reason })) {
    await work.emit({ type: 'command.superseded', device: target.device, command: ended.id, reason })
  }
}
