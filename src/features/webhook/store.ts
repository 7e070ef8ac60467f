import type { Tx } from '../../base/db.ts'
import type { WebhookRow } from './row.ts'

// `seq` is given in the transaction of the message, which is what orders a device's events.
const INSERT_EVENT = {
  name: 'webhook_event_insert',
  text: 'insert into webhook_events (id, stream, sealed_body) values ($1, $2, $3)',
}

/** Writes an event; the caller holds the enrollment row. A poll writes its own (migrations: device_visit). */
export async function insertEvent(tx: Tx, { id, stream, sealedBody }: WebhookRow): Promise<void> {
  await tx.rows(INSERT_EVENT, [id, stream, sealedBody])
}

export interface Claim {
  seq: number
  id: string
  stream: string
  ticket: string
  attempts: number
  sealed_body: Buffer
}

// Only the oldest event of a device may go out. They are found by stepping from device to device in the index, so that a long
// backlog costs no more than a short one.
const CLAIM = {
  name: 'webhook_event_claim',
  text: `with recursive heads (stream, seq) as (
      (select stream, seq from webhook_events order by stream, seq limit 1)
      union all
      select n.stream, n.seq from heads h cross join lateral (
        select stream, seq from webhook_events where stream > h.stream order by stream, seq limit 1) n),
    due as (
      select w.seq from heads h join webhook_events w on w.seq = h.seq
      where w.due_at <= now() and (w.leased_until is null or w.leased_until < now())
      order by w.seq limit $1 for update of w skip locked)
    update webhook_events w set ticket = gen_random_uuid(), leased_until = now() + make_interval(secs => $2), attempts = attempts + 1
    from due where w.seq = due.seq returning w.seq, w.id, w.stream, w.ticket, w.attempts, w.sealed_body`,
}

/**
 * Takes the oldest event of each of some devices for this process, each with a ticket and a lease by the database's clock. The
 * next one of such a device is nobody's before this one is gone.
 */
export async function claim(tx: Tx, limit: number, leaseSeconds: number): Promise<Claim[]> {
  return tx.rows<Claim>(CLAIM, [limit, leaseSeconds])
}

const DONE = { name: 'webhook_event_done', text: 'delete from webhook_events where seq = $1 and ticket = $2' }

/** The receiver has accepted it. */
export async function done(tx: Tx, { seq, ticket }: Claim): Promise<void> {
  await tx.rows(DONE, [seq, ticket])
}

const GIVE_UP = {
  name: 'webhook_event_give_up',
  text: 'delete from webhook_events where seq = $1 and ticket = $2 and created_at < now() - make_interval(secs => $3) returning id',
}

/** Drops an event that is older than this; false when it is not, or somebody else holds it by now. */
export async function giveUp(tx: Tx, { seq, ticket }: Claim, afterSeconds: number): Promise<boolean> {
  return (await tx.rows(GIVE_UP, [seq, ticket, afterSeconds])).length > 0
}

const AGAIN = {
  name: 'webhook_event_again',
  text: `update webhook_events set due_at = now() + make_interval(secs => least(300, 2 ^ least(attempts - 1, 10)) * (0.8 + 0.4 * random())),
      ticket = null, leased_until = null
    where seq = $1 and ticket = $2`,
}

/** Tried again after 1 s, 2 s, 4 s, … up to five minutes, give or take a fifth. */
export async function again(tx: Tx, { seq, ticket }: Claim): Promise<void> {
  await tx.rows(AGAIN, [seq, ticket])
}

const FORGET = { name: 'webhook_events_forget', text: `delete from webhook_events where created_at < now() - interval '3 days'` }

/** Removes what nobody delivers any more: events from before the webhook's address was taken away. */
export async function forgetOldEvents(tx: Tx): Promise<void> {
  await tx.rows(FORGET, [])
}
