import { bigint, boolean, integer, jsonb, pgTable, primaryKey, text, unique } from 'drizzle-orm/pg-core'
import { bytea, instant } from '../../base/columns.ts'

export const commandBodies = pgTable('command_bodies', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  sealedBody: bytea('sealed_body').notNull(),
})

const origin = {
  enrollmentId: bigint('enrollment_id', { mode: 'number' }).notNull(),
  seq: bigint('seq', { mode: 'number' }).notNull(),
  id: text('id').notNull().unique(),
  commandUuid: text('command_uuid').notNull(),
  requestType: text('request_type').notNull(),
  bodyId: bigint('body_id', { mode: 'number' }).notNull(),
  queuedAt: instant('queued_at').notNull(),
  queuedBy: text('queued_by').notNull(),
  notBefore: instant('not_before'),
  expiresAt: instant('expires_at'),
  deliveredAt: instant('delivered_at'),
  deliveries: integer('deliveries').notNull(),
  notNowAt: instant('not_now_at'),
  notNowCount: integer('not_now_count').notNull(),
}

export const commands = pgTable('commands', {
  ...origin,
  state: text('state', { enum: ['queued', 'delivered', 'not_now'] }).notNull(),
  held: boolean('held').notNull().default(false),
  contentHash: bytea('content_hash'),
  replacesKey: text('replaces_key'),
  deliveries: integer('deliveries').notNull().default(0),
  notNowCount: integer('not_now_count').notNull().default(0),
}, (table) => [primaryKey({ columns: [table.enrollmentId, table.seq] }), unique().on(table.enrollmentId, table.commandUuid)])

export const commandResults = pgTable('command_results', {
  ...origin,
  state: text('state', { enum: ['acknowledged', 'error', 'format_error', 'cancelled', 'expired', 'superseded'] }).notNull(),
  endedAt: instant('ended_at').notNull(),
  endedBy: text('ended_by').notNull(),
  reason: text('reason'),
  errorChain: jsonb('error_chain'),
  fields: jsonb('fields'),
  sealedRaw: bytea('sealed_raw'),
}, (table) => [primaryKey({ columns: [table.enrollmentId, table.seq] }), unique().on(table.enrollmentId, table.commandUuid)])
