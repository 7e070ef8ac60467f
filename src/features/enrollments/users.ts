import type { Tx } from '../../base/db.ts'
import type { EnrollmentId } from '../../base/ids.ts'
import { Problem } from '../../base/problem.ts'

// A channel that is enrolled before one that has ended; the exact key before a short name.
const FIND = {
  name: 'user_channel_find',
  text: `select id from enrollments where parent_id = $1 and channel = 'user' and (lower(user_key) = lower($2) or lower(user_short_name) = lower($2))
    order by state = 'enrolled' desc, lower(user_key) = lower($2) desc, id limit 1`,
}

/**
 * The channel of a user of this device, by UserID, EnrollmentUserID or short name (on a Shared iPad the Managed Apple
 * Account), upper or lower case. Throws `not_found` when the device never told of such a user.
 */
export async function getUserChannel(tx: Tx, device: EnrollmentId, reference: string): Promise<EnrollmentId> {
  const [row] = await tx.rows<{ id: EnrollmentId }>(FIND, [device, reference])
  if (!row) throw new Problem('not_found', 'This device has told of no such user')
  return row.id
}
