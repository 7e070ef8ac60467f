import { bigint, integer, jsonb, pgTable, primaryKey, text, unique, uuid } from 'drizzle-orm/pg-core'
import { bytea, instant } from './columns.ts'

export const settings = pgTable('settings', {
  key: text('key').primaryKey(),
  value: jsonb('value').notNull(),
  updatedAt: instant('updated_at').notNull().defaultNow(),
})

export const throttles = pgTable('throttles', {
  bucket: text('bucket').primaryKey(),
  failures: integer('failures').notNull(),
  windowStartedAt: instant('window_started_at').notNull(),
})

export const jobs = pgTable('jobs', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  kind: text('kind').notNull(),
  key: text('key').notNull(),
  payload: jsonb('payload').notNull().default({}),
  dueAt: instant('due_at').notNull().defaultNow(),
  attempts: integer('attempts').notNull().default(0),
  ticket: uuid('ticket'),
  leasedUntil: instant('leased_until'),
  lastError: text('last_error'),
}, (table) => [unique().on(table.kind, table.key)])

export const idempotencyKeys = pgTable('idempotency_keys', {
  owner: text('owner').notNull(),
  key: text('key').notNull(),
  requestHash: bytea('request_hash').notNull(),
  status: integer('status').notNull(),
  sealedBody: bytea('sealed_body').notNull(),
  createdAt: instant('created_at').notNull(),
}, (table) => [primaryKey({ columns: [table.owner, table.key] })])
