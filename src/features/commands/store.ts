import type { Tx } from '../../base/db.ts'
import type { CommandId, EnrollmentId } from '../../base/ids.ts'
import type { Work } from '../../base/work.ts'

/** A command as it is put in the queue. */
export interface NewCommand {
  id: CommandId
  uuid: string
  requestType: string
  contentHash: Buffer | null
  replacesKey: string | null
  notBefore: Date | null
  expiresAt: Date | null
}

/** How a command ended. */
export interface Ending {
  state: 'acknowledged' | 'error' | 'format_error' | 'cancelled' | 'expired' | 'superseded'
  by: string
  reason?: string
  errorChain?: unknown
  fields?: unknown
  sealedRaw?: Buffer
}

const RESERVE_BODY = { name: 'command_body_reserve', text: `select nextval(pg_get_serial_sequence('command_bodies', 'id')) as id` }
const INSERT_RESERVED = {
  name: 'command_body_insert_reserved',
  text: 'insert into command_bodies (id, sealed_body) overriding system value values ($1, $2)',
}

/** Stores the bytes the device will get; sealed for their own row, so the number is drawn first. */
export async function insertBody(tx: Tx, seal: (place: string) => Buffer): Promise<number> {
  const [row] = await tx.rows<{ id: number }>(RESERVE_BODY, [])
  if (!row) throw new Error('no number for a command body')
  await tx.rows(INSERT_RESERVED, [row.id, seal(bodyPlace(row.id))])
  return row.id
}

/** The vault's place of a command body. */
export function bodyPlace(id: number): string {
  return `command_bodies.sealed_body:${id}`
}

const INSERT = {
  name: 'command_insert',
  text: `with e as (update enrollments set next_seq = next_seq + 1 where id = $1 returning next_seq - 1 as seq)
    insert into commands (enrollment_id, seq, id, command_uuid, request_type, body_id, state, content_hash, replaces_key, queued_at, queued_by,
      not_before, expires_at)
    select $1, seq, $2, $3, $4, $5, 'queued', $6, $7, $8, $9, $10, $11 from e`,
}

/** Puts a command at the end of the queue; its number is given under the lock of the enrollment row. */
export async function insert(work: Work, enrollment: EnrollmentId, bodyId: number, c: NewCommand, by: string): Promise<void> {
  await work.tx.rows(INSERT, [enrollment, c.id, c.uuid, c.requestType, bodyId, c.contentHash, c.replacesKey, work.now, by, c.notBefore, c.expiresAt])
}

const INSERT_ALL = {
  name: 'command_insert_all',
  text: `with n as (select * from unnest($1::bigint[], $2::text[]) as n(enrollment_id, id)),
    e as (update enrollments e set next_seq = next_seq + 1 from n where e.id = n.enrollment_id returning e.id as enrollment_id, next_seq - 1 as seq, n.id)
    insert into commands (enrollment_id, seq, id, command_uuid, request_type, body_id, state, queued_at, queued_by)
    select enrollment_id, seq, id, $3, $4, $5, 'queued', $6, $7 from e`,
}

/** Puts one command at the end of many queues, each under the lock of its enrollment row; they share the body. */
export async function insertAll(
  work: Work, to: { enrollment: EnrollmentId; id: CommandId }[], c: { uuid: string; requestType: string; bodyId: number }, by: string,
): Promise<void> {
  await work.tx.rows(INSERT_ALL, [to.map((one) => one.enrollment), to.map((one) => one.id), c.uuid, c.requestType, c.bodyId, work.now, by])
}

const BODIES_OF_UUID = {
  name: 'command_bodies_of_uuid',
  text: `select enrollment_id, body_id, false as withdrawn from commands where enrollment_id = any($1) and command_uuid = $2
    union all select enrollment_id, body_id, state in ('cancelled', 'expired', 'superseded') from command_results where enrollment_id = any($1) and command_uuid = $2`,
}

/** A command that a channel has or had; `withdrawn` when it ended without the device's answer. */
export interface Known {
  enrollment_id: EnrollmentId
  body_id: number
  withdrawn: boolean
}

/** Which of these channels ever had a command of this CommandUUID, and the number of its body. */
export async function bodiesOfUuid(tx: Tx, enrollments: EnrollmentId[], uuid: string): Promise<Known[]> {
  return tx.rows(BODIES_OF_UUID, [enrollments, uuid])
}

const SEALED_BODIES = { name: 'command_sealed_bodies', text: 'select id, sealed_body from command_bodies where id = any($1)' }

/** Bodies by their numbers, sealed. */
export async function sealedBodies(tx: Tx, ids: number[]): Promise<{ id: number; sealed_body: Buffer }[]> {
  return tx.rows(SEALED_BODIES, [ids])
}

const UUID_USED = {
  name: 'command_uuid_used',
  text: `select 1 from commands where enrollment_id = $1 and command_uuid = $2
    union all select 1 from command_results where enrollment_id = $1 and command_uuid = $2 limit 1`,
}

/** Whether this channel ever had a command of this CommandUUID. */
export async function uuidUsed(tx: Tx, enrollment: EnrollmentId, uuid: string): Promise<boolean> {
  return (await tx.rows(UUID_USED, [enrollment, uuid])).length > 0
}

const SAME = {
  name: 'command_same',
  text: `select id from commands where enrollment_id = $1 and state = 'queued' and deliveries = 0 and content_hash = $2 order by seq limit 1`,
}

/** An undelivered command that asks the same. */
export async function findSame(tx: Tx, enrollment: EnrollmentId, contentHash: Buffer): Promise<CommandId | undefined> {
  return (await tx.rows<{ id: CommandId }>(SAME, [enrollment, contentHash]))[0]?.id
}

const ENDED = `enrollment_id, seq, id, command_uuid, request_type, body_id, queued_at, queued_by, not_before, expires_at, delivered_at, deliveries,
  not_now_at, not_now_count`

/** Moves open commands to the results, once: whoever deletes the row writes the end. `$2`… are the values of `where`. */
function endSql(where: string, first: number): string {
  const p = (n: number) => `$${first + n}`
  return `with ended as (delete from commands where ${where} returning *)
    insert into command_results (${ENDED}, state, ended_at, ended_by, reason, error_chain, fields, sealed_raw)
    select ${ENDED}, ${p(0)}, ${p(1)}, ${p(2)}, ${p(3)}, ${p(4)}, ${p(5)}, ${p(6)} from ended order by seq
    returning id, seq, request_type`
}

export interface Ended {
  id: CommandId
  seq: number
  request_type: string
}

const END_UNDELIVERED = { name: 'command_end_undelivered', text: endSql(`enrollment_id = $1 and id = $2 and state <> 'delivered'`, 3) }
const END_ALL_UNDELIVERED = { name: 'command_end_all_undelivered', text: endSql(`enrollment_id = $1 and state <> 'delivered'`, 2) }
const END_REPLACED = {
  name: 'command_end_replaced',
  text: endSql(`enrollment_id = $1 and replaces_key = $2 and state = 'queued' and deliveries = 0`, 3),
}
function endValues(work: Work, ending: Ending): unknown[] {
  const json = (value: unknown) => (value === undefined ? null : JSON.stringify(value))
  return [ending.state, work.now, ending.by, ending.reason ?? null, json(ending.errorChain), json(ending.fields), ending.sealedRaw ?? null]
}

/** Ends one command unless the device has it in hand. */
export async function endUndelivered(work: Work, enrollment: EnrollmentId, id: string, ending: Ending): Promise<Ended | undefined> {
  return (await work.tx.rows<Ended>(END_UNDELIVERED, [enrollment, id, ...endValues(work, ending)]))[0]
}

/** Ends every command of a channel that the device does not have in hand. */
export async function endAllUndelivered(work: Work, enrollment: EnrollmentId, ending: Ending): Promise<Ended[]> {
  return work.tx.rows<Ended>(END_ALL_UNDELIVERED, [enrollment, ...endValues(work, ending)])
}

/** Ends what a newer command replaces. */
export async function endReplaced(work: Work, enrollment: EnrollmentId, key: string, ending: Ending): Promise<Ended[]> {
  return work.tx.rows<Ended>(END_REPLACED, [enrollment, key, ...endValues(work, ending)])
}

const WAITING = { name: 'commands_waiting', text: 'select 1 from commands where enrollment_id = $1 limit 1' }

/** Whether anything stays in the queue of a channel. */
export async function isWaiting(tx: Tx, enrollment: EnrollmentId): Promise<boolean> {
  return (await tx.rows(WAITING, [enrollment])).length > 0
}
