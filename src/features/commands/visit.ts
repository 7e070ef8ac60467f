import type { Db } from '../../base/db.ts'
import type { EnrollmentId } from '../../base/ids.ts'

/** What one read tells about an Idle poll. */
export interface Glance {
  enrollment: EnrollmentId
  /** True when nothing waits, nothing is to be recorded, and the speaker is plainly who it claims to be. */
  quiet: boolean
}

const GLANCE = {
  name: 'visit_glance',
  text: `select e.id,
      c.revoked_at is null and e.certificate_sha256 = c.sha256 and e.device_key = $2 and e.state = 'enrolled' as known,
      exists (select from commands q where q.enrollment_id = e.id) as waiting,
      exists (select from push_wakes w where w.enrollment_id = e.id) as awaited
    from certificates c join enrollments e on e.id = c.enrollment_id
    where c.sha256 = $1`,
}

/**
 * The whole of a poll with nothing to do, as one read-only statement without a lock. Whatever is not plainly quiet is
 * looked at again under the lock; so this may be stale, but never wrong in the device's disfavour for longer than one push.
 */
export async function glance(db: Db, certificateSha256: Buffer, deviceKey: string): Promise<Glance | undefined> {
  const [row] = await db.read.rows<{ id: EnrollmentId; known: boolean; waiting: boolean; awaited: boolean }>(GLANCE, [certificateSha256, deviceKey])
  return row && { enrollment: row.id, quiet: row.known && !row.waiting && !row.awaited }
}
