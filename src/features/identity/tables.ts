import { bigint, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { bytea, instant } from '../../base/columns.ts'

export const authorities = pgTable('authorities', {
  role: text('role', { enum: ['device_ca', 'scep_ra', 'profile_signer'] }).primaryKey(),
  certificate: bytea('certificate').notNull(),
  sealedKey: bytea('sealed_key').notNull(),
  createdAt: instant('created_at').notNull(),
})

export const certificates = pgTable('certificates', {
  sha256: bytea('sha256').primaryKey(),
  serialNumber: text('serial_number').notNull().unique(),
  purpose: text('purpose', { enum: ['enrollment', 'renewal'] }).notNull(),
  attemptId: text('attempt_id'),
  deviceKey: text('device_key'),
  enrollmentId: bigint('enrollment_id', { mode: 'number' }),
  subject: text('subject').notNull(),
  der: bytea('der').notNull(),
  notBefore: instant('not_before').notNull(),
  notAfter: instant('not_after').notNull(),
  issuedAt: instant('issued_at').notNull(),
  revokedAt: instant('revoked_at'),
  revocationReason: text('revocation_reason'),
})

export const scepChallenges = pgTable('scep_challenges', {
  hash: bytea('hash').primaryKey(),
  attemptId: text('attempt_id'),
  enrollmentId: bigint('enrollment_id', { mode: 'number' }),
  deviceKey: text('device_key'),
  expiresAt: instant('expires_at').notNull(),
  usedAt: instant('used_at'),
  transactionId: text('transaction_id'),
  csrSha256: bytea('csr_sha256'),
  certificateSha256: bytea('certificate_sha256'),
})

export const scepRenewals = pgTable('scep_renewals', {
  signerSha256: bytea('signer_sha256').notNull(),
  transactionId: text('transaction_id').notNull(),
  csrSha256: bytea('csr_sha256').notNull(),
  certificateSha256: bytea('certificate_sha256').notNull(),
  issuedAt: instant('issued_at').notNull(),
}, (table) => [primaryKey({ columns: [table.signerSha256, table.transactionId] })])
