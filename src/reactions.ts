import type { Deps } from './base/deps.ts'
import type { Event } from './base/events.ts'
import type { AttemptId, EnrollmentId } from './base/ids.ts'
import { leaveErrand } from './base/jobs.ts'
import { counted } from './base/metrics.ts'
import type { Work } from './base/work.ts'
import { recordEvent, recordEvents } from './features/audit/index.ts'
import { countOpen, supersedeAll } from './features/commands/index.ts'
import { forgetStatus } from './features/declarations/index.ts'
import { findAttempt, markStep } from './features/enrollment-profiles/index.ts'
import { setTerms } from './features/enrollments/index.ts'
import { isTelling } from './features/inventory/index.ts'
import { isSimulatedTopic, visited, wake } from './features/push/index.ts'

/** A phone that has just enrolled needs a moment before its token works (product/api.md, Diagnosis). */
const FIRST_PUSH_MS = 3_000

/** What follows from what, in the same transaction. Every event is recorded first. */
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
    case 'device.enrolling':
      await supersedeAll(work, { enrollment: event.enrollment, device: event.device }, 're-enrolled')
      await visited(work, event.enrollment)
      await forgetStatus(work, event.enrollment)
      return followAttempt(work, event, 'authenticated')
    case 'enrollment.held':
      return followAttempt(work, event, 'pending_approval')
    case 'device.enrolled':
      // A user's channel begins again in its old row.
      await forgetStatus(work, event.enrollment)
      await stepOf(work, event.enrollment, 'enrolled')
      return wake(work, [event.enrollment], new Date(work.now.getTime() + FIRST_PUSH_MS))
    case 'enrollment.approved':
      await stepOf(work, event.enrollment, 'enrolled')
      return wake(work, [event.enrollment])
    case 'enrollment.rejected':
      return stepOf(work, event.enrollment, 'rejected')
    case 'device.token_updated':
      return wakeIfWaiting(work, event.enrollment)
    case 'device.unenrolled':
      await supersedeAll(work, { enrollment: event.enrollment, device: event.device }, event.reason)
      return visited(work, event.enrollment)
    case 'command.acknowledged':
      counted.command(event.request_type, 'acknowledged')
      if (RELEASING.has(event.request_type)) await work.tx.rows(CONFIGURED, [event.command])
      if (isTelling(event.request_type)) await leaveErrand(work.tx, 'learn', event.command, { command: event.command })
      return undefined
    case 'command.failed':
      return counted.command(event.request_type, event.state)
    default:
      return undefined
  }
}

/** Until one of these is acknowledged, Setup Assistant or the login of a user waits for us (Apple: Device Configured, User Configured). */
const RELEASING: ReadonlySet<string> = new Set(['DeviceConfigured', 'UserConfigured'])

const CONFIGURED = {
  name: 'enrollment_configured',
  text: `update enrollments e set awaiting_configuration = false from command_results r where r.id = $1 and e.id = r.enrollment_id`,
}

type OfAttempt = Extract<Event, { type: 'device.enrolling' | 'enrollment.held' }>

/** The attempt knows what the person agreed to; from now on the enrollment knows it too. */
async function followAttempt(work: Work, event: OfAttempt, step: 'authenticated' | 'pending_approval'): Promise<void> {
  const attempt = event.attempt === null ? undefined : await findAttempt(work.tx, event.attempt)
  if (!attempt || event.attempt === null) return
  const simulated = await isSimulatedTopic(work.tx, attempt.topic)
  await setTerms(work.tx, event.enrollment, { accessRights: attempt.accessRights, linkId: attempt.linkId, simulated, ownership: attempt.ownership })
  await markStep(work, event.attempt, step, event.enrollment)
}

const ATTEMPT_OF = { name: 'attempt_of_enrollment', text: 'select id from enrollment_attempts where enrollment_id = $1' }

async function stepOf(work: Work, enrollment: EnrollmentId, step: 'enrolled' | 'rejected'): Promise<void> {
  for (const row of await work.tx.rows<{ id: AttemptId }>(ATTEMPT_OF, [enrollment])) await markStep(work, row.id, step)
}

/** A new token is worth a push only when something waits. */
async function wakeIfWaiting(work: Work, enrollment: EnrollmentId): Promise<void> {
  const [waiting] = await countOpen(work.tx, [enrollment])
  if (waiting) await wake(work, [enrollment])
}

/** How each kind of errand is run. */
export function errandRunners(deps: Deps, learn: (deps: Deps, commandId: string) => Promise<void>) {
  return { learn: (errand: { payload: Record<string, unknown> }) => learn(deps, String(errand.payload['command'])) }
}
