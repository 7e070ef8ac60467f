import type { Event } from '../../base/events.ts'
import { newId } from '../../base/ids.ts'
import { actorName, type Work } from '../../base/work.ts'

const INSERT = {
  name: 'event_insert',
  text: 'insert into events (id, type, at, actor, device_id, data) values ($1, $2, $3, $4, $5, $6)',
}

/** Writes one event in the caller's transaction. */
export async function insert(work: Work, event: Event): Promise<void> {
  const { type, ...data } = event
  const device = 'device' in event ? event.device : null
  await work.tx.rows(INSERT, [newId('evt'), type, work.now, actorName(work.actor), device, JSON.stringify(data)])
}

const INSERT_ALL = {
  name: 'event_insert_all',
  text: `insert into events (id, type, at, actor, device_id, data)
    select id, type, $5, $6, device_id, data from unnest($1::text[], $2::text[], $3::text[], $4::jsonb[]) as e(id, type, device_id, data)`,
}

/** Writes many events in the caller's transaction, with one statement. */
export async function insertAll(work: Work, events: readonly Event[]): Promise<void> {
  const rows = events.map(({ type, ...data }) => ({ id: newId('evt'), type, device: 'device' in data ? data.device : null, data: JSON.stringify(data) }))
  await work.tx.rows(INSERT_ALL, [
    rows.map((row) => row.id), rows.map((row) => row.type), rows.map((row) => row.device), rows.map((row) => row.data), work.now, actorName(work.actor),
  ])
}
