import type { Deps } from './base/deps.ts'
import type { Event } from './base/events.ts'
import type { AttemptId, EnrollmentId } from './base/ids.ts'
import type { Errand } from './base/jobs.ts'
import type { Work } from './base/work.ts'
import { recordEvent, recordEvents } from './features/audit/index.ts'
import { markStep } from './features/enrollment-profiles/index.ts'
import { wake } from './features/push/index.ts'

/**
 * What follows from what, in the same transaction. Every event is recorded first. What follows from a device's message is carried out with it, in one
 * statement (migrations/0004_device_messages.sql), and does not come by here.
 */
export async function react(work: Work, event: Event): Promise<void> {
  await recordEvent(work, event)
  return follow(work, event)
}

/** `react` for many at once: a command to ten thousand devices is recorded with one statement, not with ten thousand. */
export async function reactToAll(work: Work, events: readonly Event[]): Promise<void> {
  await recordEvents(work, events)
  for (const event of events) await follow(work, event)
}

async function follow(work: Work, event: Event): Promise<void> {
  switch (event.type) {
    case 'certificate.issued':
      return event.attempt === null ? undefined : markStep(work, event.attempt, 'identity_issued')
    case 'enrollment.approved':
      await stepOf(work, event.enrollment, 'enrolled')
      return wake(work, [event.enrollment])
    case 'enrollment.rejected':
      return stepOf(work, event.enrollment, 'rejected')
    default:
      return undefined
  }
}

const ATTEMPT_OF = { name: 'attempt_of_enrollment', text: 'select id from enrollment_attempts where enrollment_id = $1' }

async function stepOf(work: Work, enrollment: EnrollmentId, step: 'enrolled' | 'rejected'): Promise<void> {
  for (const row of await work.tx.rows<{ id: AttemptId }>(ATTEMPT_OF, [enrollment])) await markStep(work, row.id, step)
}

/** How each kind of errand is run: one by one, and many at once. */
export function errandRunners(deps: Deps, learn: (deps: Deps, commandIds: string[]) => Promise<void>) {
  const commandOf = (errand: Errand) => String(errand.payload['command'])
  return {
    one: { learn: (errand: Errand) => learn(deps, [commandOf(errand)]) },
    many: { learn: (errands: Errand[]) => learn(deps, errands.map(commandOf)) },
  }
}
