import type { Deps } from './base/deps.ts'
import { NUDGE as JOBS_NUDGE, runErrands } from './base/jobs.ts'
import { startListening, startLoop } from './base/loops.ts'
import { PUSH_NUDGE } from './base/nudge.ts'
import { forgetOldFailures } from './base/throttle.ts'
import { expireDue } from './features/commands/index.ts'
import { learn } from './features/inventory/index.ts'
import { CHANGED as CERTIFICATES_CHANGED, sendDue, sweepSilent, type Clients } from './features/push/index.ts'
import { deliverDue, forgetOldEvents } from './features/webhook/index.ts'
import { errandRunners } from './reactions.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND

/** Starts what this process does beside answering; every other process does the same, and none needs the others. */
export function startWorkers(deps: Deps, clients: Clients): { stop(): Promise<void> } {
  const runners = errandRunners(deps, learn)
  const loops = {
    push: startLoop('push', deps.log, SECOND, async (stopping) => (await sendDue(deps, clients, stopping)) > 0),
    errands: startLoop('errands', deps.log, 2 * SECOND, async () => (await runErrands(deps.db, deps.log, runners.one, runners.many)) > 0),
    ...(deps.config.webhook && { webhook: startLoop('webhook', deps.log, SECOND / 5, async () => (await deliverDue(deps)) > 0) }),
    // Beside the rounds of `push`, which wait for Apple: a renewed certificate must not wait with them.
    certificates: startLoop('certificates', deps.log, 5 * SECOND, async () => {
      await clients.refresh()
      return false
    }),
    expiry: startLoop('expiry', deps.log, MINUTE, async () => (await expireDue(deps)) >= 200),
    sweep: startLoop('sweep', deps.log, 10 * MINUTE, async () => {
      await sweepSilent(deps.db.read)
      await forgetOldAnswers(deps)
      return false
    }),
  }
  const listening = startListening(deps.db, deps.log, {
    [PUSH_NUDGE]: () => loops.push.nudge(),
    [CERTIFICATES_CHANGED]: () => {
      loops.certificates.nudge()
      loops.push.nudge()
    },
    [JOBS_NUDGE]: () => loops.errands.nudge(),
  })
  return {
    async stop() {
      await Promise.all([listening.stop(), ...Object.values(loops).map((loop) => loop.stop())])
      await clients.close()
    },
  }
}

const FORGET = {
  name: 'answers_forget',
  text: `with old_answers as (delete from idempotency_keys where created_at < now() - interval '24 hours')
    delete from setup_tokens where expires_at < now() - interval '1 day'`,
}

/** Answers to retries, counted failures, setup tokens and events that no longer matter. */
async function forgetOldAnswers(deps: Deps): Promise<void> {
  await deps.db.read.rows(FORGET, [])
  await forgetOldFailures(deps.db.read)
  await forgetOldEvents(deps.db.read)
}
