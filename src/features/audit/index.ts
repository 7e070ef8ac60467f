/**
 * The event log. Owns the table `events`: append-only, each row written in the transaction of the change it reports, so the
 * log never tells of something that did not happen.
 */
export { insert as recordEvent, insertAll as recordEvents } from './store.ts'
export { events } from './tables.ts'
