import { createHash } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { inWords } from './in-words.ts'

/** One file of `migrations/`: its number, name and text. */
export interface Migration {
  number: number
  name: string
  sql: string
  sha256: string
}

const FOLDER = fileURLToPath(new URL('../../migrations/', import.meta.url))
const LOCK = 0x62726d6c // 'brml': one migration at a time, in whichever process

/** The migrations of this version, in order. Throws when a number is missing or doubled. */
export function readMigrations(folder = FOLDER): Migration[] {
  const files = readdirSync(folder).filter((file) => /^\d{4}_.*\.sql$/.test(file)).toSorted()
  return files.map((name, index) => {
    const number = Number(name.slice(0, 4))
    if (number !== index + 1) throw new Error(`migrations/${name} is out of order`)
    const sql = readFileSync(new URL(name, `file://${folder.endsWith('/') ? folder : `${folder}/`}`), 'utf8')
    return { number, name, sql, sha256: createHash('sha256').update(sql).digest('hex') }
  })
}

/**
 * Brings the database to this version: one transaction for each file, all under one advisory lock. Throws when the
 * database is newer than this program, or when an applied file was changed since.
 */
export async function migrate(url: string, folder = FOLDER): Promise<{ from: number; to: number }> {
  const migrations = readMigrations(folder)
  const client = new pg.Client({ connectionString: url, application_name: 'bramley migrate' })
  client.on('error', () => undefined)
  await client.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [LOCK])
    const from = await currentVersion(client, migrations)
    for (const migration of migrations.slice(from)) await apply(client, migration)
    return { from, to: migrations.length }
  } finally {
    await client.end()
  }
}

/** The schema version of a database, 0 when it is empty; without changing anything. */
export async function schemaVersion(query: (sql: string) => Promise<{ rows: { version: number | null }[] }>): Promise<number> {
  try {
    const { rows } = await query('select max(number)::int as version from migrations')
    return rows[0]?.version ?? 0
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === '42P01') return 0
    throw error
  }
}

async function currentVersion(client: pg.Client, migrations: Migration[]): Promise<number> {
  await client.query(
    'create table if not exists migrations (number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now())',
  )
  const { rows } = await client.query<{ number: number; sha256: string }>('select number, sha256 from migrations order by number')
  for (const row of rows) checkApplied(row, migrations)
  return rows.length
}

function checkApplied(row: { number: number; sha256: string }, migrations: Migration[]): void {
  const known = migrations[row.number - 1]
  if (!known) throw new Error(`the database has schema version ${row.number}; this program knows ${migrations.length}: start a newer Bramley`)
  if (known.sha256 !== row.sha256) throw new Error(`migrations/${known.name} was changed after it had been applied`)
}

async function apply(client: pg.Client, migration: Migration): Promise<void> {
  await client.query('begin')
  try {
    await client.query(migration.sql)
    await client.query('insert into migrations (number, name, sha256) values ($1, $2, $3)', [migration.number, migration.name, migration.sha256])
    await client.query('commit')
  } catch (error) {
    // A connection that is gone has rolled back by itself; what went wrong first is what matters.
    await client.query('rollback').catch(() => undefined)
    throw new Error(`migrations/${migration.name} failed: ${inWords(error)}`, { cause: error })
  }
}
