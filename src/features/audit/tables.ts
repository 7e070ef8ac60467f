import { bigint, jsonb, pgTable, text } from 'drizzle-orm/pg-core'
import { instant } from '../../base/columns.ts'

export const events = pgTable('events', {
  seq: bigint('seq', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  id: text('id').notNull().unique(),
  type: text('type').notNull(),
  at: instant('at').notNull(),
  actor: text('actor').notNull(),
  deviceId: text('device_id'),
  data: jsonb('data').notNull(),
})
