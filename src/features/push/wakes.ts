import type { Tx } from '../../base/db.ts'
import type { EnrollmentId } from '../../base/ids.ts'
import { PUSH_NUDGE } from '../../base/nudge.ts'
import type { Work } from '../../base/work.ts'

const WAKE = {
  name: 'wake_upsert',
  text: `insert into push_wakes (enrollment_id, due_at) select id, $2 from unnest($1::bigint[]) as id order by id
    on conflict (enrollment_id) do update set due_at = least(push_wakes.due_at, excluded.due_at), attempt = 0, ticket = null, leased_until = null`,
}
const NOTIFY = { name: 'wake_notify', text: `select pg_notify('${PUSH_NUDGE}', '')` }

/** We wish these devices to visit now (or at `at`): one row each, however many commands wait. Drops any sender's ticket, so that a wish made while its push is in flight is not lost. */
export async function wake(work: Work, enrollments: EnrollmentId[], at = work.now): Promise<void> {
  await work.tx.rows(WAKE, [enrollments, at])
  await work.tx.rows(NOTIFY, [])
}

const VISITED = { name: 'wake_visited', text: 'delete from push_wakes where enrollment_id = $1' }

/** The device was here and nothing stays. Only this removes a wake: a push that Apple accepted may still be lost. */
export async function visited(work: Pick<Work, 'tx'>, enrollment: EnrollmentId): Promise<void> {
  await work.tx.rows(VISITED, [enrollment])
}

export interface Claim {
  enrollment_id: EnrollmentId
  ticket: string
  attempt: number
  device_id: string
  topic: string
  push_token: Buffer
  push_magic: string
  token_updated_at: Date
}

const CLAIM = {
  name: 'wake_claim',
  text: `with due as (
      select w.enrollment_id from push_wakes w join enrollments e on e.id = w.enrollment_id
      where w.due_at <= now() and (w.leased_until is null or w.leased_until < now())
        and e.push_token is not null and e.push_stopped_at is null and e.state = 'enrolled' and e.topic = any($3)
      order by w.due_at limit $1 for update of w skip locked),
    claimed as (
      update push_wakes w set ticket = gen_random_uuid(), leased_until = now() + make_interval(secs => $2) from due
      where w.enrollment_id = due.enrollment_id returning w.enrollment_id, w.ticket, w.attempt)
    select c.enrollment_id, c.ticket, c.attempt, e.device_id, e.topic, e.push_token, e.push_magic, e.token_updated_at
      from claimed c join enrollments e on e.id = c.enrollment_id`,
}

/** Takes due wakes of these topics for this process, each with a ticket and a lease by the database's clock. */
export async function claim(tx: Tx, limit: number, leaseSeconds: number, topics: string[]): Promise<Claim[]> {
  return tx.rows<Claim>(CLAIM, [limit, leaseSeconds, topics])
}

const TAKE = {
  name: 'wake_take',
  text: `with taken as (
      insert into push_wakes (enrollment_id, due_at, ticket, leased_until)
      select id, now(), gen_random_uuid(), now() + make_interval(secs => $2) from enrollments
      where id = any($1) and state = 'enrolled' and push_token is not null and push_stopped_at is null and topic = any($3) order by id
      on conflict (enrollment_id) do update set attempt = 0, ticket = excluded.ticket, leased_until = excluded.leased_until
      returning enrollment_id, ticket, attempt)
    select t.enrollment_id, t.ticket, t.attempt, e.device_id, e.topic, e.push_token, e.push_magic, e.token_updated_at
      from taken t join enrollments e on e.id = t.enrollment_id`,
}

/** Takes the wakes of these devices, due or not, making them where there are none; leaves out those that cannot be pushed to. */
export async function take(tx: Tx, enrollments: EnrollmentId[], leaseSeconds: number, topics: string[]): Promise<Claim[]> {
  return tx.rows<Claim>(TAKE, [enrollments, leaseSeconds, topics])
}

const SETTLE = {
  name: 'wake_settle',
  text: `update push_wakes set due_at = $3, attempt = attempt + 1, ticket = null, leased_until = null where enrollment_id = $1 and ticket = $2`,
}

/** Only the ticket-holder settles: if the device was woken again or came meanwhile, that newer fact stands. */
export async function settle(tx: Tx, claimed: Claim, nextAt: Date): Promise<void> {
  await tx.rows(SETTLE, [claimed.enrollment_id, claimed.ticket, nextAt])
}

const GIVE_BACK = {
  name: 'wake_give_back',
  text: 'update push_wakes set ticket = null, leased_until = null where ticket = any($1::uuid[])',
}

/** Gives unsent claims back to any process. */
export async function giveBack(tx: Tx, tickets: string[]): Promise<void> {
  await tx.rows(GIVE_BACK, [tickets])
}

const SWEEP = {
  name: 'wake_sweep',
  text: `insert into push_wakes (enrollment_id, due_at)
    select e.id, now() + random() * interval '1 hour' from enrollments e left join enrollment_sightings s on s.enrollment_id = e.id
    where e.state = 'enrolled' and e.push_token is not null and e.push_stopped_at is null
      and coalesce(s.last_seen_at, e.enrolled_at) < now() - interval '24 hours'
    on conflict (enrollment_id) do nothing`,
}

/** The daily sweep: every enrolled device that was silent for a day gets one push, whether or not a command waits; spread over an hour. */
export async function sweepSilent(tx: Tx): Promise<void> {
  await tx.rows(SWEEP, [])
}
