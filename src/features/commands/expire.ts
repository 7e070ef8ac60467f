import type { Deps } from '../../base/deps.ts'
import type { DeviceId, EnrollmentId } from '../../base/ids.ts'
import { lock } from '../enrollments/index.ts'

const DUE = {
  name: 'commands_expiry_due',
  text: `select distinct c.enrollment_id, e.device_id from commands c join enrollments e on e.id = c.enrollment_id
    where c.expires_at <= now() and c.state <> 'delivered' limit 200`,
}

const END_EXPIRED = { name: 'command_end_expired', text: `select end_commands($1, $2, 'expired', 'its time was over')` }

/** Ends what has outlived its time on devices that do not come; returns how many channels were looked at. May run anywhere, and twice. */
export async function expireDue(deps: Deps): Promise<number> {
  const due = await deps.db.read.rows<{ enrollment_id: EnrollmentId; device_id: DeviceId }>(DUE, [])
  for (const { enrollment_id, device_id } of due) {
    await deps.work({ kind: 'system' }, async (work) => {
      await lock(work.tx, enrollment_id)
      await work.tx.rows(END_EXPIRED, [enrollment_id, device_id])
    })
  }
  return due.length
}
