import type { Deps } from '../../base/deps.ts'
import type { EnrollmentId } from '../../base/ids.ts'

/** Collects who was here and writes it at most once a second, in one statement; what is collected may be lost with the process. */
export interface Sightings {
  saw(id: EnrollmentId): void
  flush(): Promise<void>
  stop(): Promise<void>
}

const FLUSH = {
  name: 'sightings_flush',
  // Who speaks as a user speaks with the identity of the device: it has been seen as well.
  text: `insert into enrollment_sightings (enrollment_id, last_seen_at)
    select id, now() from (
      select unnest($1::bigint[]) as id
      union select parent_id from enrollments where id = any($1::bigint[]) and parent_id is not null) seen
    order by id
    on conflict (enrollment_id) do update set last_seen_at = excluded.last_seen_at`,
}

/** Starts collecting; `stop` writes the rest. */
export function startSightings(deps: Pick<Deps, 'db' | 'log'>): Sightings {
  const seen = new Set<EnrollmentId>()
  let timer: NodeJS.Timeout | undefined

  async function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    const ids = [...seen]
    seen.clear()
    if (ids.length === 0) return
    try {
      await deps.db.read.rows(FLUSH, [ids])
    } catch (error) {
      deps.log.warn({ reason: error instanceof Error ? error.message : String(error) }, 'could not write when devices were seen')
    }
  }

  return {
    saw(id) {
      seen.add(id)
      timer ??= setTimeout(() => void flush(), 1_000)
    },
    flush,
    stop: flush,
  }
}
