import type { Tx } from '../../base/db.ts'
import type { EnrollmentId } from '../../base/ids.ts'

const CURRENT = {
  name: 'enrollment_is_current',
  text: `select 1 from enrollments where id = $1 and certificate_sha256 = $2 and state in ('identity_issued', 'enrolled') for update`,
}

/** Whether this certificate speaks for this enrollment now; holds the row, so that it stays true for the unit of work. */
export async function isCurrent(tx: Tx, enrollment: EnrollmentId, sha256: Buffer): Promise<boolean> {
  return (await tx.rows(CURRENT, [enrollment, sha256])).length > 0
}

const STANDS = {
  name: 'enrollment_stands',
  text: `select 1 from enrollments where id = $1 and state in ('identity_issued', 'enrolled') for update`,
}

/** Whether this enrollment can be given another identity; holds the row. */
export async function stands(tx: Tx, enrollment: EnrollmentId): Promise<boolean> {
  return (await tx.rows(STANDS, [enrollment])).length > 0
}
