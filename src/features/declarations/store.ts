import type { JsonObject } from '../../apple/wire/status-report.ts'
import type { Tx } from '../../base/db.ts'
import type { EnrollmentId } from '../../base/ids.ts'
import type { Work } from '../../base/work.ts'

const SINCE = { name: 'declaration_set_since', text: 'select coalesce(enrolled_at, created_at) as since from enrollments where id = $1' }

/** Since when a channel has the set it has: the empty one since it enrolled. */
export async function setSince(tx: Tx, id: EnrollmentId): Promise<Date> {
  const [row] = await tx.rows<{ since: Date }>(SINCE, [id])
  if (!row) throw new Error('an enrollment row is gone')
  return row.since
}

const ITEMS = { name: 'declaration_status_items', text: 'select items from declaration_status where enrollment_id = $1' }

/** The status items a channel has reported so far, merged; undefined before its first report. */
export async function findItems(tx: Tx, id: EnrollmentId): Promise<JsonObject | undefined> {
  return (await tx.rows<{ items: JsonObject }>(ITEMS, [id]))[0]?.items
}

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

const FORGET = { name: 'declaration_status_forget', text: 'delete from declaration_status where enrollment_id = $1' }

/** A channel begins again: what the one before it reported is not its status. */
export async function forgetStatus(work: Work, id: EnrollmentId): Promise<void> {
  await work.tx.rows(FORGET, [id])
}
