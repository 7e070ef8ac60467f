import type { Tx } from '../../base/db.ts'
import type { DeviceId, EnrollmentId } from '../../base/ids.ts'
import { Problem } from '../../base/problem.ts'
import type { EnrollmentState } from './tables.ts'

/** A device with the newest generation of its device channel. */
export interface DeviceRow {
  id: DeviceId
  device_key: string
  device_key_kind: 'udid' | 'enrollment_id'
  serial_number: string | null
  name: string | null
  platform: string | null
  model: string | null
  model_name: string | null
  os_version: string | null
  build: string | null
  supervised: boolean | null
  ownership: string | null
  simulated: boolean
  facts: Record<string, unknown>
  facts_at: Date | null
  enrollment_id: EnrollmentId
  state: EnrollmentState
  link_id: string | null
  enrolled_at: Date | null
  access_rights: number | null
  topic: string | null
  push_trouble: string | null
  identity_expires_at: Date | null
  last_seen_at: Date | null
}

// Of several generations the current one speaks; without one, the newest.
const SHOWN = `select d.id, d.device_key, d.device_key_kind, d.serial_number, d.name, d.platform, d.model, d.model_name, d.os_version, d.build, d.supervised,
    d.ownership, d.simulated, d.facts, d.facts_at, e.id as enrollment_id, e.state, e.link_id, e.enrolled_at, e.access_rights, e.topic, e.push_trouble,
    c.not_after as identity_expires_at, s.last_seen_at
  from devices d
  join lateral (select * from enrollments where device_id = d.id and channel = 'device'
    order by state in ('enrolled', 'identity_issued', 'blocked') desc, generation desc limit 1) e on true
  left join certificates c on c.sha256 = e.certificate_sha256
  left join enrollment_sightings s on s.enrollment_id = e.id`

const FIND_BY_ID = { name: 'device_by_id', text: `${SHOWN} where d.id = $1` }
const FIND_BY_REFERENCE = {
  name: 'device_by_reference',
  text: `${SHOWN} where lower(d.device_key) = lower($1) or lower(d.serial_number) = lower($1) order by d.id limit 20`,
}

/**
 * The device that an administrator means: by id, serial number, UDID or EnrollmentID, upper or lower case. Of two with one
 * serial number the enrolled one is meant; otherwise `ambiguous_device`. Throws `not_found` when there is none.
 */
export async function getDevice(tx: Tx, reference: string): Promise<DeviceRow> {
  const byId = reference.startsWith('dev_')
  const rows = await tx.rows<DeviceRow>(byId ? FIND_BY_ID : FIND_BY_REFERENCE, [reference])
  const enrolled = rows.filter((row) => row.state === 'enrolled')
  const candidates = enrolled.length === 1 ? enrolled : rows
  const [found, another] = candidates
  if (!found) throw new Problem('not_found', 'There is no such device')
  if (another) throw new Problem('ambiguous_device', undefined, { extra: { candidates: candidates.map((row) => row.id) } })
  return found
}

export interface DeviceFilter {
  after?: string | undefined
  state?: string | undefined
  search?: string | undefined
  limit: number
}

const LIST = {
  name: 'device_list',
  text: `${SHOWN} where ($1::text is null or d.id > $1) and ($2::text is null or e.state = $2)
    and ($3::text is null or d.serial_number ilike $3 or d.device_key ilike $3 or d.name ilike $3)
    order by d.id limit $4`,
}

/** Devices in the order in which they first came. */
export async function listDevices(tx: Tx, filter: DeviceFilter): Promise<DeviceRow[]> {
  const pattern = containing(filter.search)
  return tx.rows<DeviceRow>(LIST, [filter.after ?? null, filter.state ?? null, pattern, filter.limit])
}

const COUNT = {
  name: 'device_count',
  text: `select count(*)::int as count from devices d join lateral (select state from enrollments where device_id = d.id and channel = 'device'
      order by state in ('enrolled', 'identity_issued', 'blocked') desc, generation desc limit 1) e on true
    where ($1::text is null or e.state = $1)
    and ($2::text is null or d.serial_number ilike $2 or d.device_key ilike $2 or d.name ilike $2)`,
}

/** How many devices a filter matches. */
export async function countDevices(tx: Tx, filter: Pick<DeviceFilter, 'state' | 'search'>): Promise<number> {
  const pattern = containing(filter.search)
  return (await tx.rows<{ count: number }>(COUNT, [filter.state ?? null, pattern]))[0]?.count ?? 0
}

/** The pattern of a search text, in which % and _ are only characters. */
function containing(search: string | undefined): string | null {
  return search === undefined ? null : `%${search.replace(/[\\%_]/g, (c) => `\\${c}`)}%`
}
