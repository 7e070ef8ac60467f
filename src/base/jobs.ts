import type { Db, Tx } from './db.ts'
import type { Log } from './log.ts'

/** An errand in hand: background work that is not a domain queue. It may run twice, so it must be safe twice. */
export interface Errand {
  id: number
  kind: string
  payload: Record<string, unknown>
  ticket: string
  attempts: number
}

export type ErrandRunner = (errand: Errand) => Promise<void>

/** The channel on which a new errand nudges the workers of all processes. */
export const NUDGE = 'bramley_jobs'

const ASK = { name: 'job_ask', text: 'select leave_errand($1, $2, $3, $4)' }
const NOTIFY = { name: 'job_notify', text: `select pg_notify('${NUDGE}', '')` }

/** Leaves an errand in the caller's transaction; asked for again while it runs, it runs once more. */
export async function leaveErrand(tx: Tx, kind: string, key: string, payload: Record<string, unknown>, delaySeconds = 0): Promise<void> {
  await tx.rows(ASK, [kind, key, JSON.stringify(payload), delaySeconds])
  await tx.rows(NOTIFY, [])
}

const CLAIM = {
  name: 'job_claim',
  text: `update jobs set ticket = gen_random_uuid(), leased_until = now() + interval '60 seconds', attempts = attempts + 1
    where id in (select id from jobs where due_at <= now() and (leased_until is null or leased_until < now()) order by due_at limit $1 for update skip locked)
    returning id, kind, payload, ticket, attempts`,
}
const DONE = { name: 'job_done', text: 'delete from jobs where id = $1 and ticket = $2' }
const FAILED = {
  name: 'job_failed',
  text: `update jobs set ticket = null, leased_until = null, last_error = $3, due_at = now() + make_interval(secs => least(3600, 5 * 2 ^ least(attempts, 10)))
    where id = $1 and ticket = $2`,
}

/** Runs what is due, once; returns how many errands were claimed. Only the ticket-holder settles an errand. */
export async function runErrands(db: Db, log: Log, runners: Record<string, ErrandRunner>): Promise<number> {
  const claimed = await db.read.rows<Errand>(CLAIM, [50])
  for (const errand of claimed) await runOne(db, log, errand, runners[errand.kind])
  return claimed.length
}

async function runOne(db: Db, log: Log, errand: Errand, runner: ErrandRunner | undefined): Promise<void> {
  try {
    if (!runner) throw new Error(`nobody knows how to run ${errand.kind}`)
    await runner(errand)
    await db.read.rows(DONE, [errand.id, errand.ticket])
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    log.warn({ errand: errand.kind, attempts: errand.attempts, reason }, 'an errand failed and will be tried again')
    await db.read.rows(FAILED, [errand.id, errand.ticket, reason.slice(0, 500)])
  }
}
