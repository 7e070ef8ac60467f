import { bigint, jsonb, pgTable } from 'drizzle-orm/pg-core'
import { instant } from '../../base/columns.ts'

export const declarationStatus = pgTable('declaration_status', {
  enrollmentId: bigint('enrollment_id', { mode: 'number' }).primaryKey(),
  items: jsonb('items').notNull(),
  errors: jsonb('errors').notNull(),
  reportedAt: instant('reported_at').notNull(),
  fullReportAt: instant('full_report_at'),
})
