import type { CommandId, DeviceId, EnrollmentId } from '../../base/ids.ts'
import { Problem } from '../../base/problem.ts'
import { actorName, type Work } from '../../base/work.ts'
import { lock } from '../enrollments/index.ts'
import { visited } from '../push/index.ts'
import * as store from './store.ts'
import { findCommand } from './read.ts'

/**
 * Withdraws a command that the device does not have in hand; after this it is never delivered. Throws not_found,
 * already_delivered, command_ended. A command answered NotNow may be withdrawn: the device did not keep it.
 */
export async function cancel(work: Work, id: string): Promise<void> {
  const found = await findCommand(work.tx, id)
  if (!found) throw new Problem('not_found', 'There is no such command')
  await lock(work.tx, found.enrollment_id)
  const ended = await store.endUndelivered(work, found.enrollment_id, id, { state: 'cancelled', by: actorName(work.actor) })
  if (!ended) throw await refusal(work, id)
  await work.emit({ type: 'command.cancelled', device: found.device_id, command: ended.id })
  await forgetWakeOfNothing(work, found.enrollment_id)
}

/** Withdraws every command of a channel that was not fetched yet; returns them. */
export async function cancelUndelivered(work: Work, enrollment: EnrollmentId, device: DeviceId): Promise<CommandId[]> {
  await lock(work.tx, enrollment)
  const ended = await store.endAllUndelivered(work, enrollment, { state: 'cancelled', by: actorName(work.actor) })
  for (const { id } of ended) await work.emit({ type: 'command.cancelled', device, command: id })
  await forgetWakeOfNothing(work, enrollment)
  return ended.map(({ id }) => id)
}

async function forgetWakeOfNothing(work: Work, enrollment: EnrollmentId): Promise<void> {
  if (!(await store.isWaiting(work.tx, enrollment))) await visited(work, enrollment)
}

async function refusal(work: Work, id: string): Promise<Problem> {
  const now = await findCommand(work.tx, id)
  return now?.state === 'delivered' ? new Problem('already_delivered') : new Problem('command_ended', `It is ${now?.state ?? 'gone'}`)
}
