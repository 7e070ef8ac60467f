import type { Tx } from '../../base/db.ts'
import type { CommandId, DeviceId, EnrollmentId } from '../../base/ids.ts'

/** A command, open or ended, with what its timeline needs. */
export interface CommandRow {
  id: CommandId
  enrollment_id: EnrollmentId
  device_id: DeviceId
  device_key: string
  user_key: string
  command_uuid: string
  request_type: string
  body_id: number
  state: 'queued' | 'delivered' | 'not_now' | 'acknowledged' | 'error' | 'format_error' | 'cancelled' | 'expired' | 'superseded'
  queued_at: Date
  queued_by: string
  not_before: Date | null
  expires_at: Date | null
  delivered_at: Date | null
  deliveries: number
  not_now_at: Date | null
  not_now_count: number
  ended_at: Date | null
  reason: string | null
  error_chain: unknown
  fields: unknown
  sealed_raw: Buffer | null
  next_push_at: Date | null
  pushed_at: Date | null
  push_outcome: string | null
  push_reason: string | null
}

const SHARED = `c.id, c.enrollment_id, e.device_id, e.device_key, e.user_key, c.command_uuid, c.request_type, c.body_id, c.state, c.queued_at, c.queued_by, c.not_before, c.expires_at,
  c.delivered_at, c.deliveries, c.not_now_at, c.not_now_count`
const OPEN = `select ${SHARED}, null::timestamptz as ended_at, null::text as reason, null::jsonb as error_chain, null::jsonb as fields, null::bytea as sealed_raw
  from commands c join enrollments e on e.id = c.enrollment_id`
const ENDED = `select ${SHARED}, c.ended_at, c.reason, c.error_chain, c.fields, c.sealed_raw
  from command_results c join enrollments e on e.id = c.enrollment_id`
/** The last push since the command was queued says whether Apple took the wake; only open commands need it. */
const WITH_PUSH = `select q.*, w.due_at as next_push_at, p.at as pushed_at, p.outcome as push_outcome, p.reason as push_reason
  from q left join push_wakes w on w.enrollment_id = q.enrollment_id and q.ended_at is null
  left join lateral (select at, outcome, reason from pushes where enrollment_id = q.enrollment_id and at >= q.queued_at order by at desc limit 1) p
    on q.ended_at is null`

const FIND = {
  name: 'command_find',
  text: `with q as (${OPEN} where c.id = $1 union all ${ENDED} where c.id = $1) ${WITH_PUSH}`,
}

/** One command by its id. */
export async function findCommand(tx: Tx, id: string): Promise<CommandRow | undefined> {
  return (await tx.rows<CommandRow>(FIND, [id]))[0]
}

/** What a list of commands may be narrowed to; `before` is the id to continue below (newest first). */
export interface CommandFilter {
  device?: DeviceId | undefined
  states?: string[] | undefined
  requestType?: string | undefined
  before?: string | undefined
  limit: number
}

const NARROWED = `($1::text is null or e.device_id = $1) and ($2::text is null or c.id < $2) and ($3::text[] is null or c.state = any($3))
  and ($4::text is null or c.request_type = $4) order by c.id desc limit $5`

const LIST = {
  name: 'command_list',
  text: `with q as ((${OPEN} where ${NARROWED}) union all (${ENDED} where ${NARROWED}) order by id desc limit $5) ${WITH_PUSH} order by q.id desc`,
}

/** Commands, newest first. */
export async function listCommands(tx: Tx, filter: CommandFilter): Promise<CommandRow[]> {
  return tx.rows<CommandRow>(LIST, [filter.device ?? null, filter.before ?? null, filter.states ?? null, filter.requestType ?? null, filter.limit])
}

const BODY = { name: 'command_body', text: 'select sealed_body from command_bodies where id = $1' }

/** The sealed bytes that a device gets. */
export async function findBody(tx: Tx, id: number): Promise<Buffer | undefined> {
  return (await tx.rows<{ sealed_body: Buffer }>(BODY, [id]))[0]?.sealed_body
}

const COUNTS = {
  name: 'command_counts',
  text: `select c.enrollment_id, count(*) filter (where c.state <> 'not_now')::int as queued, count(*) filter (where c.state = 'not_now')::int as not_now
    from commands c where c.enrollment_id = any($1::bigint[]) group by c.enrollment_id`,
}

/** How many commands wait, by channel. */
export async function countOpen(tx: Tx, enrollments: EnrollmentId[]): Promise<{ enrollment_id: EnrollmentId; queued: number; not_now: number }[]> {
  return tx.rows(COUNTS, [enrollments])
}
