import { bigint, boolean, integer, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { bytea, instant } from '../../base/columns.ts'

export const pushCertificates = pgTable('push_certificates', {
  id: text('id').primaryKey(),
  topic: text('topic').notNull().unique(),
  version: bigint('version', { mode: 'number' }).notNull(),
  certificatePem: text('certificate_pem').notNull(),
  sealedKey: bytea('sealed_key').notNull(),
  sha256: bytea('sha256').notNull(),
  serialNumber: text('serial_number').notNull(),
  notBefore: instant('not_before').notNull(),
  notAfter: instant('not_after').notNull(),
  simulated: boolean('simulated').notNull().default(false),
  defaultForNew: boolean('default_for_new').notNull(),
  memo: text('memo'),
  stoppedReason: text('stopped_reason'),
  uploadedAt: instant('uploaded_at').notNull(),
  uploadedBy: text('uploaded_by').notNull(),
})

export const pushWakes = pgTable('push_wakes', {
  enrollmentId: bigint('enrollment_id', { mode: 'number' }).primaryKey(),
  dueAt: instant('due_at').notNull(),
  attempt: integer('attempt').notNull().default(0),
  ticket: uuid('ticket'),
  leasedUntil: instant('leased_until'),
})

export const pushes = pgTable('pushes', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  enrollmentId: bigint('enrollment_id', { mode: 'number' }).notNull(),
  at: instant('at').notNull(),
  outcome: text('outcome').notNull(),
  status: integer('status'),
  reason: text('reason'),
  apnsId: text('apns_id'),
})
