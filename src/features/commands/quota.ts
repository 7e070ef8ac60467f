import type { EnrollmentId } from '../../base/ids.ts'
import type { Work } from '../../base/work.ts'

const A_DAY = 64 * 1024 * 1024
/** Answers of the usual size are not counted: they cost no statement. */
const USUAL = 64 * 1024

const KEPT_TODAY = {
  name: 'command_answers_kept_today',
  text: `select coalesce(sum(octet_length(sealed_raw)), 0)::bigint as bytes from command_results
    where enrollment_id = $1 and ended_at > $2::timestamptz - interval '1 day'`,
}

/** What the result of a command says instead of an answer that was not kept. */
export const NOT_KEPT = 'The device answered, and its answer was not kept: it sent more than 64 MiB of answers within a day.'

/** Whether an answer of so many bytes may still be kept: 64 MiB within a day for each channel, so that no device fills the disk. */
export async function mayKeep(work: Work, enrollment: EnrollmentId, bytes: number): Promise<boolean> {
  if (bytes <= USUAL) return true
  const [kept] = await work.tx.rows<{ bytes: number }>(KEPT_TODAY, [enrollment, work.now])
  return (kept?.bytes ?? 0) + bytes <= A_DAY
}
