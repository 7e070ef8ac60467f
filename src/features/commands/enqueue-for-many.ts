import type { Deps } from '../../base/deps.ts'
import { newId, type EnrollmentId } from '../../base/ids.ts'
import { actorName, type Work } from '../../base/work.ts'
import { lockAll, type Locked } from '../enrollments/index.ts'
import { wake } from '../push/index.ts'
import * as store from './store.ts'

/** A command whose bytes somebody else made: they are handed out as they are. */
export interface RawRequest {
  requestType: string
  /** The CommandUUID in the bytes, the same for every device. */
  uuid: string
  bytes: Buffer
  /** When the devices are asked to come; undefined: they are not. */
  wakeAt: Date | undefined
}

/**
 * `repeated`: the very same command waits here or was answered. `withdrawn`: it ended without an answer, and to say it is there
 * would be a lie. `uuid_taken`: another command is or was here under this CommandUUID.
 */
export type EnqueueOutcome = 'queued' | 'repeated' | 'withdrawn' | 'uuid_taken' | 'not_enrolled'

/**
 * Puts one command in the queues of many channels with a handful of statements, its body stored once. Raw: it replaces
 * nothing and is replaced by nothing. Saying it again changes nothing, so a caller that lost our answer may ask again.
 * What cannot be queued for one channel is its outcome and does not hinder the others.
 */
export async function enqueueForMany(deps: Deps, work: Work, ids: EnrollmentId[], request: RawRequest): Promise<Map<EnrollmentId, EnqueueOutcome>> {
  const locked = await lockAll(work.tx, ids)
  const enrolled = locked.filter((row) => row.state === 'enrolled')
  const before = await outcomesBefore(deps, work, enrolled, request)
  const fresh = enrolled.filter((row) => !before.has(row.id))
  if (fresh.length > 0) await queueAll(deps, work, fresh, request)
  const outcomes = new Map<EnrollmentId, EnqueueOutcome>(locked.map((row) => [row.id, row.state === 'enrolled' ? (before.get(row.id) ?? 'queued') : 'not_enrolled']))
  const waiting = [...outcomes].filter(([, outcome]) => outcome === 'queued' || outcome === 'repeated').map(([id]) => id)
  if (request.wakeAt && waiting.length > 0) await wake(work, waiting, request.wakeAt)
  return outcomes
}

async function queueAll(deps: Deps, work: Work, rows: Locked[], request: RawRequest): Promise<void> {
  const bodyId = await store.insertBody(work.tx, (place) => deps.vault.seal(request.bytes, place))
  const to = rows.map((row) => ({ enrollment: row.id, device: row.device_id, id: newId('cmd') }))
  await store.insertAll(work, to, { uuid: request.uuid, requestType: request.requestType, bodyId }, actorName(work.actor))
  await work.emitAll(to.map(({ device, id }) => (
    { type: 'command.queued', device, command: id, request_type: request.requestType, forced: false }
  )))
}

/** The channels that know this CommandUUID. Few bodies stand behind many commands; each is opened once. */
async function outcomesBefore(
  deps: Deps, work: Work, rows: Locked[], { uuid, bytes }: RawRequest,
): Promise<Map<EnrollmentId, EnqueueOutcome>> {
  const used = await store.bodiesOfUuid(work.tx, rows.map((row) => row.id), uuid)
  if (used.length === 0) return new Map()
  const bodies = await store.sealedBodies(work.tx, [...new Set(used.map((row) => row.body_id))])
  const same = new Set(bodies.filter(({ id, sealed_body }) => deps.vault.open(sealed_body, store.bodyPlace(id)).equals(bytes)).map(({ id }) => id))
  return new Map(used.map((row) => [row.enrollment_id, !same.has(row.body_id) ? 'uuid_taken' : row.withdrawn ? 'withdrawn' : 'repeated']))
}
