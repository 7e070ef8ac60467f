import { bigint, boolean, integer, jsonb, pgTable, text } from 'drizzle-orm/pg-core'
import { bytea, instant } from '../../base/columns.ts'

export const devices = pgTable('devices', {
  id: text('id').primaryKey(),
  deviceKey: text('device_key').notNull().unique(),
  deviceKeyKind: text('device_key_kind', { enum: ['udid', 'enrollment_id'] }).notNull(),
  serialNumber: text('serial_number'),
  name: text('name'),
  platform: text('platform'),
  model: text('model'),
  modelName: text('model_name'),
  osVersion: text('os_version'),
  build: text('build'),
  imei: text('imei'),
  meid: text('meid'),
  supervised: boolean('supervised'),
  ownership: text('ownership'),
  simulated: boolean('simulated').notNull().default(false),
  facts: jsonb('facts').notNull().default({}),
  factsAt: instant('facts_at'),
  createdAt: instant('created_at').notNull(),
  updatedAt: instant('updated_at').notNull(),
})

export const ENROLLMENT_STATES = ['identity_issued', 'pending_approval', 'enrolled', 'unenrolled', 'erased', 'blocked'] as const
export type EnrollmentState = (typeof ENROLLMENT_STATES)[number]

export const enrollments = pgTable('enrollments', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  deviceId: text('device_id').notNull().references(() => devices.id),
  channel: text('channel', { enum: ['device', 'user'] }).notNull(),
  userKey: text('user_key').notNull().default(''),
  parentId: bigint('parent_id', { mode: 'number' }),
  deviceKey: text('device_key').notNull(),
  state: text('state', { enum: ENROLLMENT_STATES }).notNull(),
  generation: integer('generation').notNull(),
  certificateSha256: bytea('certificate_sha256'),
  attemptId: text('attempt_id'),
  linkId: text('link_id'),
  accessRights: integer('access_rights'),
  nextSeq: bigint('next_seq', { mode: 'number' }).notNull().default(1),
  topic: text('topic'),
  pushToken: bytea('push_token'),
  pushMagic: text('push_magic'),
  tokenUpdatedAt: instant('token_updated_at'),
  pushStoppedAt: instant('push_stopped_at'),
  pushTrouble: text('push_trouble'),
  sealedUnlockToken: bytea('sealed_unlock_token'),
  sealedBootstrapToken: bytea('sealed_bootstrap_token'),
  awaitingConfiguration: boolean('awaiting_configuration').notNull().default(false),
  tokenUpdateTally: integer('token_update_tally').notNull().default(0),
  renewalOpen: boolean('renewal_open').notNull().default(false),
  importedAt: instant('imported_at'),
  userShortName: text('user_short_name'),
  userLongName: text('user_long_name'),
  createdAt: instant('created_at').notNull(),
  enrolledAt: instant('enrolled_at'),
  endedAt: instant('ended_at'),
})

export const enrollmentSightings = pgTable('enrollment_sightings', {
  enrollmentId: bigint('enrollment_id', { mode: 'number' }).primaryKey().references(() => enrollments.id),
  lastSeenAt: instant('last_seen_at').notNull(),
})
