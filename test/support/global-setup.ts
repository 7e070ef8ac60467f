import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { endPostmaster, isRunning, readLockFile } from '../../src/base/embedded-postgres-process.ts'
import { databaseUrl, startEmbeddedPostgres } from '../../src/base/embedded-postgres.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** A database of the run's PostgreSQL where databases may be created. */
    adminUrl: string
    /** Part of the name of every database of this run. */
    runId: string
    /**
     * Temporary folder of this run: what lies in it is removed, and the PostgreSQL in it ended, when the run ends.
     */
    runFolder: string
  }
}

/** One PostgreSQL for the run: our own, or the server in BRAMLEY_TEST_DATABASE_URL, whose role needs CREATEDB. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const runFolder = mkdtempSync(join(tmpdir(), 'bramley-test-'))
  chmodSync(runFolder, 0o711) // a PostgreSQL of another user (we may be root) must get to its data
  const runId = runFolder.slice(-6).toLowerCase()
  process.once('exit', () => clear(runFolder))
  const given = process.env['BRAMLEY_TEST_DATABASE_URL']
  const adminUrl = given ?? (await startShared(join(runFolder, 'shared')))
  project.provide('adminUrl', adminUrl)
  project.provide('runId', runId)
  project.provide('runFolder', runFolder)
  return async () => {
    if (given) await dropDatabases(given, runId)
    for (const pid of servers(runFolder)) await endPostmaster(pid, 'immediate')
    clear(runFolder)
  }
}

/** No test looks at what this cluster keeps after a crash, so it need not wait for the disk. */
async function startShared(folder: string): Promise<string> {
  const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300' }
  const { connection } = await startEmbeddedPostgres({ folder, settings })
  return databaseUrl(connection, 'postgres')
}

/** Process numbers of the PostgreSQL servers that still run in a folder of the run. */
function servers(runFolder: string): number[] {
  const folders = readdirSync(runFolder, { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('postmaster.pid'),
  )
  return folders.flatMap((path) => readLockFile(join(runFolder, path, '..'))?.pid ?? []).filter((pid) => isRunning(pid))
}

function clear(runFolder: string): void {
  if (!existsSync(runFolder)) return
  for (const pid of servers(runFolder)) process.kill(pid, 'SIGQUIT')
  rmSync(runFolder, { recursive: true, force: true, maxRetries: 5 })
}

async function dropDatabases(url: string, runId: string): Promise<void> {
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  const { rows } = await admin.query<{ name: string }>(
    'select datname as name from pg_database where datname like $1',
    [`bramley\\_%\\_${runId}%`],
  )
  for (const { name } of rows) await admin.query(`drop database if exists ${pg.escapeIdentifier(name)} with (force)`)
  await admin.end()
}
