import { bigint, boolean, integer, pgTable, text } from 'drizzle-orm/pg-core'
import { bytea, instant } from '../../base/columns.ts'

export const enrollmentLinks = pgTable('enrollment_links', {
  id: text('id').primaryKey(),
  slug: text('slug').notNull().unique(),
  name: text('name').notNull(),
  tokenHash: bytea('token_hash').notNull().unique(),
  codeHash: bytea('code_hash').notNull().unique(),
  sealedSecrets: bytea('sealed_secrets').notNull(),
  codeExpiresAt: instant('code_expires_at').notNull(),
  ownership: text('ownership', { enum: ['company', 'personal'] }).notNull(),
  accessRights: integer('access_rights').notNull(),
  maxUses: integer('max_uses'),
  uses: integer('uses').notNull().default(0),
  expiresAt: instant('expires_at'),
  revokedAt: instant('revoked_at'),
  removableByUser: boolean('removable_by_user').notNull().default(true),
  deviceKey: text('device_key'),
  separateCheckin: boolean('separate_checkin').notNull().default(false),
  createdAt: instant('created_at').notNull(),
  createdBy: text('created_by').notNull(),
})

export const enrollmentAttempts = pgTable('enrollment_attempts', {
  id: text('id').primaryKey(),
  linkId: text('link_id').references(() => enrollmentLinks.id),
  step: text('step', { enum: ['profile_delivered', 'identity_issued', 'authenticated', 'pending_approval', 'enrolled', 'rejected'] }).notNull(),
  profileIdentifier: text('profile_identifier').notNull(),
  topic: text('topic').notNull(),
  accessRights: integer('access_rights').notNull(),
  deviceKey: text('device_key'),
  enrollmentId: bigint('enrollment_id', { mode: 'number' }),
  checkinUrl: text('checkin_url'),
  remoteAddress: text('remote_address'),
  createdAt: instant('created_at').notNull(),
  updatedAt: instant('updated_at').notNull(),
})
