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
