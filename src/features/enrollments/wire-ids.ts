import type { Tx } from '../../base/db.ts'
import type { EnrollmentId } from '../../base/ids.ts'
import type { EnrollmentState } from './tables.ts'

/** A channel as others name it, with what decides whether it can be pushed to. */
export interface NamedChannel {
  name: string
  id: EnrollmentId
  state: EnrollmentState
  topic: string | null
  has_token: boolean
  /** Why pushing has stopped, while it has. */
  push_stopped: string | null
}

const NAMED = {
  name: 'enrollments_named',
  text: `select n.name, e.id, e.state, e.topic, e.push_token is not null as has_token,
      case when e.push_stopped_at is not null then coalesce(e.push_trouble, 'stopped') end as push_stopped
    from unnest($1::text[], $2::text[], $3::text[]) as n(name, device_key, user_key)
    join devices d on d.device_key = n.device_key
    join lateral (select * from enrollments where device_id = d.id and user_key = n.user_key
      order by state in ('enrolled', 'identity_issued', 'blocked') desc, id desc limit 1) e on true`,
}

/**
 * The channels behind names as NanoMDM forms them: the device's UDID or EnrollmentID, and for a user channel the user's key
 * behind a colon. Upper and lower case matter, as the device sent them. Names that nothing answers to are left out.
 */
export async function findNamed(tx: Tx, names: string[]): Promise<NamedChannel[]> {
  // No identifier holds a NUL, and PostgreSQL takes none.
  const askable = names.filter((name) => !name.includes('\0'))
  const parts = askable.map((name) => /^([^:]*):?(.*)$/s.exec(name) ?? ['', '', ''])
  return tx.rows<NamedChannel>(NAMED, [askable, parts.map(([, device]) => device), parts.map(([, , user]) => user)])
}
