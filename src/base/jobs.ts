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

/** Runs one errand; or all that were claimed of a kind, as one, when that is cheaper: all or none. */
export type ErrandRunner = (errand: Errand) => Promise<void>
export type BatchRunner = (errands: Errand[]) => Promise<void>

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
const DONE = {
  name: 'job_done',
  text: 'delete from jobs j using unnest($1::bigint[], $2::uuid[]) as d(id, ticket) where j.id = d.id and j.ticket = d.ticket',
}
const FAILED = {
  name: 'job_failed',
  text: `update jobs set ticket = null, leased_until = null, last_error = $3, due_at = now() + make_interval(secs => least(3600, 5 * 2 ^ least(attempts, 10)))
    where id = $1 and ticket = $2`,
}

/**
 * Runs what is due, once; returns how many errands were claimed. Only the ticket-holder settles an errand. A kind that has a
 * batch runner is run as one; when that fails, one by one, so that the odd one alone stays.
 */
export async function runErrands(
  db: Db, log: Log, runners: Record<string, ErrandRunner>, batches: Record<string, BatchRunner> = {},
): Promise<number> {
  const claimed = await db.read.rows<Errand>(CLAIM, [50])
  for (const [kind, errands] of byKind(claimed)) {
    if (await runTogether(db, log, errands, batches[kind])) continue
    for (const errand of errands) await runOne(db, log, errand, runners[kind])
  }
  return claimed.length
}

function byKind(errands: Errand[]): Map<string, Errand[]> {
  const kinds = new Map<string, Errand[]>()
  for (const errand of errands) kinds.set(errand.kind, [...(kinds.get(errand.kind) ?? []), errand])
  return kinds
}

async function runTogether(db: Db, log: Log, errands: Errand[], runner: BatchRunner | undefined): Promise<boolean> {
  if (!runner || errands.length < 2) return false
  try {
    await runner(errands)
  } catch (error) {
    log.warn({ errand: errands[0]?.kind, errands: errands.length, reason: reasonOf(error) }, 'errands failed together and are run one by one')
    return false
  }
  await done(db, errands)
  return true
}

async function done(db: Db, errands: Errand[]): Promise<void> {
  await db.read.rows(DONE, [errands.map((errand) => errand.id), errands.map((errand) => errand.ticket)])
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

async function runOne(db: Db, log: Log, errand: Errand, runner: ErrandRunner | undefined): Promise<void> {
  try {
    if (!runner) throw new Error(`nobody knows how to run ${errand.kind}`)
    await runner(errand)
    await done(db, [errand])
  } catch (error) {
    const reason = reasonOf(error)
    log.warn({ errand: errand.kind, attempts: errand.attempts, reason }, 'an errand failed and will be tried again')
    await db.read.rows(FAILED, [errand.id, errand.ticket, reason.slice(0, 500)])
  }
}
