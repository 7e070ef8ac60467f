import type { AttemptId, EnrollmentId } from '../../base/ids.ts'
import type { Work } from '../../base/work.ts'
import * as store from './attempt-store.ts'
import type { AttemptStep } from './attempt-store.ts'

export { findAttempt, type Attempt, type AttemptStep } from './attempt-store.ts'

/**
 * Notes how far an attempt came, and its enrollment once there is one. An attempt only goes forward: what arrives late
 * or twice changes nothing.
 */
export async function markStep(
  work: Work, attemptId: AttemptId, step: AttemptStep, enrollmentId?: EnrollmentId,
): Promise<void> {
  await store.mark(work.tx, attemptId, step, enrollmentId)
}
