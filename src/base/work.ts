import { setTimeout as pause } from 'node:timers/promises'
import { sqlState, txOver, type Db, type Tx } from './db.ts'
import type { Event } from './events.ts'

/** Who acts: a device (its id), an administrator's key (its id), or the server itself. */
export type Actor = { kind: 'device' | 'key'; id: string } | { kind: 'system' }

/** One transaction, one instant (the database's clock), one actor. */
export interface Work {
  tx: Tx
  now: Date
  actor: Actor
  /** Records the event with this change and runs what must be true with it. */
  emit(event: Event): Promise<void>
  /** The same for many, written with few statements. */
  emitAll(events: readonly Event[]): Promise<void>
}

/** What must be true with an event, in its transaction. */
export type React = (work: Work, event: Event) => Promise<void>
export type ReactToAll = (work: Work, events: readonly Event[]) => Promise<void>

export type DoWork = <T>(actor: Actor, body: (work: Work) => Promise<T>) => Promise<T>

/** `device:dev_…`, `key:key_…` or `system`, as stored beside changes. */
export function actorName(actor: Actor): string {
  return actor.kind === 'system' ? 'system' : actor.id
}

const RETRIED = new Set(['40001', '40P01']) // serialization failure, deadlock: nothing happened, trying again is right
const TRIES = 3

/**
 * Makes the function that runs units of work: begin, body, commit; any throw rolls everything back. The body may run again
 * after a deadlock, so it must change nothing but the database.
 */
export function workOver(db: Db, react: React, reactToAll: ReactToAll = oneByOne(react)): DoWork {
  return (actor, body) => retried(() => once(db, actor, body, { react, reactToAll }))
}

/** Runs something that is one transaction, again after a deadlock. Throws what the last try threw. */
export async function retried<T>(transaction: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await transaction()
    } catch (error) {
      if (attempt >= TRIES || !RETRIED.has(sqlState(error) ?? '')) throw error
      await pause(Math.random() * 20 * attempt)
    }
  }
}

function oneByOne(react: React): ReactToAll {
  return async (work, events) => {
    for (const event of events) await react(work, event)
  }
}

async function once<T>(
  db: Db, actor: Actor, body: (work: Work) => Promise<T>, { react, reactToAll }: { react: React; reactToAll: ReactToAll },
): Promise<T> {
  const client = await db.pool.connect()
  // A checked-out client emits 'error' too when its server dies; the failing query already tells us.
  const ignore = () => undefined
  client.on('error', ignore)
  let broken: Error | undefined
  try {
    const now = await begin(client)
    const work: Work = {
      tx: txOver(client), now, actor, emit: (event) => react(work, event), emitAll: (events) => reactToAll(work, events),
    }
    const result = await body(work)
    await client.query('commit')
    return result
  } catch (error) {
    broken = await rollback(client)
    throw error
  } finally {
    client.removeListener('error', ignore)
    client.release(broken)
  }
}

/** One round trip for both: the instant of the unit of work is the start of its transaction, by the database's clock. */
async function begin(client: { query(text: string): Promise<unknown> }): Promise<Date> {
  const results = (await client.query('begin; select now() as now')) as { rows: { now: Date }[] }[]
  const now = results[1]?.rows[0]?.now
  if (!now) throw new Error('the database did not tell the time')
  return now
}

async function rollback(client: { query(text: string): Promise<unknown> }): Promise<Error | undefined> {
  try {
    await client.query('rollback')
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}
