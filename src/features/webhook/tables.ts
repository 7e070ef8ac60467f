import { bigint, integer, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { bytea, instant } from '../../base/columns.ts'

export const webhookEvents = pgTable('webhook_events', {
  seq: bigint('seq', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  id: text('id').notNull().unique(),
  stream: text('stream').notNull(),
  sealedBody: bytea('sealed_body').notNull(),
  createdAt: instant('created_at').notNull().defaultNow(),
  dueAt: instant('due_at').notNull().defaultNow(),
  attempts: integer('attempts').notNull().default(0),
  ticket: uuid('ticket'),
  leasedUntil: instant('leased_until'),
})
