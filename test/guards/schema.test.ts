import { getTableColumns, getTableName, is } from 'drizzle-orm'
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as base from '../../src/base/tables.ts'
import * as access from '../../src/features/access/tables.ts'
import * as audit from '../../src/features/audit/tables.ts'
import * as commands from '../../src/features/commands/tables.ts'
import * as declarations from '../../src/features/declarations/tables.ts'
import * as profiles from '../../src/features/enrollment-profiles/tables.ts'
import * as enrollments from '../../src/features/enrollments/tables.ts'
import * as identity from '../../src/features/identity/tables.ts'
import * as push from '../../src/features/push/tables.ts'
import * as webhook from '../../src/features/webhook/tables.ts'
import { readMigrations } from '../../src/base/migrate.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'

const tables = [base, access, audit, commands, declarations, profiles, enrollments, identity, push, webhook]
  .flatMap((module) => Object.values(module))
  .filter((value): value is PgTable => is(value, PgTable))

let db: FreshDatabase
beforeAll(async () => {
  db = await freshDatabase()
})
afterAll(() => db.drop())

/** `name type null|not null`, as both sides can say it. */
const drizzleColumns = (table: PgTable) => Object.values(getTableColumns(table))
  .map((column) => `${column.name} ${typeOf(column.getSQLType())} ${column.notNull ? 'not null' : 'null'}`)
  .toSorted()

function typeOf(type: string): string {
  return type.replace('timestamp with time zone', 'timestamptz')
}

describe('Drizzle’s tables', () => {
  it('are the tables of the migrations, column by column', async () => {
    const rows = await db.query<{ table_name: string; line: string }>(
      `select c.relname as table_name, a.attname || ' ' || replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz')
         || case when a.attnotnull then ' not null' else ' null' end as line
       from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
       where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname <> 'migrations'`,
    )
    const stored = groupByTable(rows)
    const names = [...stored.keys()].toSorted()
    expect(tables.map(getTableName).toSorted()).toEqual(names)
    for (const table of tables) {
      const name = getTableName(table)
      expect({ [name]: drizzleColumns(table) }).toEqual({ [name]: stored.get(name)?.map((row) => row.line).toSorted() })
    }
  })

  it('know every primary key', async () => {
    const rows = await db.query<{ table_name: string; columns: string }>(
      `select c.relname as table_name, string_agg(a.attname, ',' order by array_position(i.indkey::int2[], a.attnum)) as columns
       from pg_index i join pg_class c on c.oid = i.indrelid join pg_attribute a on a.attrelid = c.oid and a.attnum = any(i.indkey::int2[])
       where i.indisprimary and c.relnamespace = 'public'::regnamespace group by c.relname`,
    )
    const stored = Object.fromEntries(rows.map((row) => [row.table_name, row.columns]))
    for (const table of tables) {
      const { name, columns, primaryKeys } = getTableConfig(table)
      const own = primaryKeys[0]?.columns.map((column) => column.name) ?? columns.filter((column) => column.primary).map((column) => column.name)
      expect({ [name]: own.join(',') }).toEqual({ [name]: stored[name] })
    }
  })
})

describe('migrations', () => {
  it('are numbered from 1 without a gap', () => {
    expect(readMigrations().map((migration) => migration.number)).toEqual(readMigrations().map((_, index) => index + 1))
  })
})

function groupByTable<R extends { table_name: string }>(rows: R[]): Map<string, R[]> {
  const groups = new Map<string, R[]>()
  for (const row of rows) groups.set(row.table_name, [...(groups.get(row.table_name) ?? []), row])
  return groups
}
