import type { EnrollmentId } from '../../base/ids.ts'
import type { Work } from '../../base/work.ts'

const SAVE = {
  name: 'declaration_status_save',
  text: `insert into declaration_status (enrollment_id, items, errors, reported_at, full_report_at)
    values ($1, $2::jsonb, $3::jsonb, $4::timestamptz, case when $5 then $4::timestamptz end)
    on conflict (enrollment_id) do update set items = excluded.items, errors = excluded.errors, reported_at = excluded.reported_at,
      full_report_at = coalesce(excluded.full_report_at, declaration_status.full_report_at)`,
}

/** Keeps what is known now. `items` and `errors` are JSON text; the caller holds the enrollment row. */
export async function saveStatus(work: Work, id: EnrollmentId, status: { items: string; errors: string; full: boolean }): Promise<void> {
  await work.tx.rows(SAVE, [id, status.items, status.errors, work.now, status.full])
}
