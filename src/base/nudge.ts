import type { Db } from './db.ts'

/** The channel on which a new wake nudges the senders of all processes; a lost nudge costs a second. */
export const PUSH_NUDGE = 'bramley_push'

const NOTIFY = { name: 'nudge', text: `select pg_notify($1, '')` }
const GATHER_MS = 20

const gathering = new WeakMap<Db, Set<string>>()

/**
 * Nudges the workers of all processes that listen on this channel, after a commit and not in it: commits that carry a NOTIFY wait for one another
 * in PostgreSQL, and a thousand devices at once would each carry one. Nudges of one moment are sent as one; a lost one costs
 * a loop's pause, nothing else.
 */
export function nudge(db: Db, channel: string): void {
  const waiting = gathering.get(db) ?? new Set()
  const isFirst = waiting.size === 0
  waiting.add(channel)
  gathering.set(db, waiting)
  if (isFirst) setTimeout(() => void send(db, waiting), GATHER_MS).unref()
}

async function send(db: Db, waiting: Set<string>): Promise<void> {
  const channels = [...waiting]
  waiting.clear()
  for (const channel of channels) await db.read.rows(NOTIFY, [channel]).catch(() => undefined)
}
