import type { DeviceId, EnrollmentId } from '../../base/ids.ts'
import { Problem } from '../../base/problem.ts'
import type { Work } from '../../base/work.ts'
import { revokeAllOf } from '../identity/index.ts'
import { end, endChannels, findCurrent, lock, setState } from './store.ts'
import type { EnrollmentState } from './tables.ts'

const HELD = {
  name: 'enrollment_held',
  text: `select id, push_token is not null as complete from enrollments where device_id = $1 and channel = 'device' and state = 'pending_approval'
    order by generation desc limit 1`,
}

/**
 * An administrator decides on the newest held newcomer of a device: approved, it replaces the generation that speaks now;
 * rejected, its identity is revoked. Throws `not_pending` when nobody waits.
 */
export async function decide(work: Work, device: DeviceId, decision: 'approve' | 'reject'): Promise<{ device: DeviceId; state: EnrollmentState }> {
  const current = await findCurrent(work.tx, device)
  const [held] = await work.tx.rows<{ id: EnrollmentId; complete: boolean }>(HELD, [device])
  if (!held) throw new Problem('not_pending')
  await lock(work.tx, held.id)
  if (decision === 'reject') {
    await end(work, held.id, 'unenrolled')
    await revokeAllOf(work, held.id, undefined, 'rejected')
    await work.emit({ type: 'enrollment.rejected', device, enrollment: held.id })
    return { device, state: 'unenrolled' }
  }
  if (current) {
    await endChannels(work, current.id, 're-enrolled')
    await revokeAllOf(work, current.id, undefined, 'superseded')
  }
  const state = held.complete ? 'enrolled' : 'identity_issued'
  await setState(work, held.id, state)
  await work.emit({ type: 'enrollment.approved', device, enrollment: held.id })
  return { device, state }
}
