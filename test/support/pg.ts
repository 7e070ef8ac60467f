import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { inject } from 'vitest'
import { databaseUrl, startEmbeddedPostgres } from '../../src/base/embedded-postgres.ts'

type Row = Record<string, unknown>

/** A migrated database of its own for one test file. */
export interface FreshDatabase {
  /** For `pg` and for BRAMLEY_DATABASE_URL. */
  url: string
  query<R extends Row = Row>(sql: string, params?: unknown[]): Promise<R[]>
  /** Removes the database, with whatever is still connected to it. */
  drop(): Promise<void>
}

const TEMPLATE_LOCK = 0x62726d74 // 'brmt': one test file migrates the template, the others wait

/** Clones the migrated template into a new database. */
export async function freshDatabase(): Promise<FreshDatabase> {
  const name = newName()
  await asAdmin(async (admin) => clone(admin, await template(admin), name))
  return opened(name)
}

/** A new database without any table. */
export async function emptyDatabase(): Promise<FreshDatabase> {
  const name = newName()
  await asAdmin((admin) => admin.query(`create database ${pg.escapeIdentifier(name)}`))
  return opened(name)
}

function newName(): string {
  return `bramley_test_${inject('runId')}_${randomBytes(5).toString('hex')}`
}

function opened(name: string): FreshDatabase {
  const url = urlOf(name)
  const pool = new pg.Pool({ connectionString: url, max: 2, allowExitOnIdle: true })
  pool.on('error', () => undefined) // tests may end every connection
  return {
    url,
    query: async <R extends Row>(sql: string, params: unknown[] = []) => (await pool.query<R>(sql, params)).rows,
    drop: async () => {
      await pool.end()
      const drop = `drop database if exists ${pg.escapeIdentifier(name)}`
      await asAdmin((admin) => admin.query(`${drop} with (force)`).catch((error: pg.DatabaseError) => {
        // An autovacuum worker is there, which only a superuser may force; a plain drop sends it away.
        if (error.code !== '42501') throw error
        return admin.query(drop)
      }))
    },
  }
}

/** A PostgreSQL of its own that a test may kill. Everything it acknowledges is on the disk (fsync is on). */
export interface OwnCluster {
  /** Stays the same over restarts. The database `bramley` exists and is empty. */
  url(database?: string): string
  /** Ends the server as a power cut would: no checkpoint, connections just gone. */
  stopImmediate(): Promise<void>
  /** Starts it again on the same data and the same address. */
  start(): Promise<void>
  /** Ends it and removes its data. */
  destroy(): Promise<void>
}

/** Starts one, with the programs of BRAMLEY_TEST_PG_BIN where that is set. */
export async function ownCluster(): Promise<OwnCluster> {
  const folder = mkdtempSync(join(inject('runFolder'), 'own-'))
  chmodSync(folder, 0o711)
  const binFolder = process.env['BRAMLEY_TEST_PG_BIN']
  const run = () => startEmbeddedPostgres({ folder: join(folder, 'pg'), ...(binFolder ? { binFolder } : {}) })
  let server = await run()
  return {
    url: (database) => databaseUrl(server.connection, database),
    stopImmediate: () => server.stop('immediate'),
    start: async () => {
      server = await run()
    },
    destroy: async () => {
      await server.stop('immediate')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The name of the run's template, which the first test file to come here makes. */
async function template(admin: pg.Client): Promise<string> {
  const name = `bramley_template_${inject('runId')}`
  await admin.query('select pg_advisory_lock($1)', [TEMPLATE_LOCK])
  const { rowCount } = await admin.query('select from pg_database where datname = $1', [name])
  if (rowCount === 0) await makeTemplate(admin, name)
  await admin.query('select pg_advisory_unlock($1)', [TEMPLATE_LOCK])
  return name
}

async function makeTemplate(admin: pg.Client, name: string): Promise<void> {
  const { migrate } = await import('../../src/base/migrate.ts')
  await admin.query(`create database ${pg.escapeIdentifier(name)}`)
  try {
    await migrate(urlOf(name))
  } catch (error) {
    await admin.query(`drop database ${pg.escapeIdentifier(name)} with (force)`)
    throw error
  }
}

async function clone(admin: pg.Client, from: string, name: string, tries = 3): Promise<void> {
  try {
    await admin.query(`create database ${pg.escapeIdentifier(name)} template ${pg.escapeIdentifier(from)}`)
  } catch (error) {
    // The connection that migrated the template may still be closing. PostgreSQL itself has waited 5 s for that.
    const busy = error instanceof Error && 'code' in error && error.code === '55006'
    if (!busy || tries === 1) throw error
    await clone(admin, from, name, tries - 1)
  }
}

async function asAdmin<T>(work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: inject('adminUrl') })
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.end()
  }
}

/** The URL of another database of the run's server. */
function urlOf(database: string): string {
  const url = new URL(inject('adminUrl'))
  url.pathname = `/${database}`
  return url.href
}
