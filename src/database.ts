import { join } from 'node:path'
import pg from 'pg'
import { databaseUrl, startEmbeddedPostgres, type EmbeddedPostgres } from './base/embedded-postgres.ts'
import type { Config } from './base/config.ts'
import { isUnavailable, sqlState } from './base/db.ts'
import { inWords } from './base/in-words.ts'
import type { Log } from './base/log.ts'
import { migrate, readMigrations, schemaVersion } from './base/migrate.ts'

/** The database this server runs on, brought to this version's schema. */
export interface RunningDatabase {
  url: string
  embedded: boolean
  migrated: { from: number; to: number }
  stop(): Promise<void>
}

/** Starts our own PostgreSQL when no URL is set; then migrates, or refuses an older schema with BRAMLEY_MIGRATE=manual. */
export async function startDatabase(config: Config, log: Log): Promise<RunningDatabase> {
  if (config.databaseUrl !== undefined) {
    const migrated = await bringUp(config, config.databaseUrl).catch(explain)
    return { url: config.databaseUrl, embedded: false, migrated, stop: async () => undefined }
  }
  const embedded = await keepRunning(join(config.dataFolder, 'pg'), log)
  const url = databaseUrl(embedded.connection())
  try {
    return { url, embedded: true, migrated: await bringUp(config, url), stop: () => embedded.stop() }
  } catch (error) {
    await embedded.stop()
    throw error
  }
}

async function bringUp(config: Config, url: string): Promise<{ from: number; to: number }> {
  if (config.migrate === 'auto') return migrate(url)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const from = await schemaVersion((sql) => client.query(sql))
    const to = readMigrations().length
    const way = from > to ? 'start a newer Bramley' : 'run `bramley migrate up`'
    if (from !== to) throw new Error(`the database has schema version ${from}, this program needs ${to}: ${way}`)
    return { from, to }
  } finally {
    await client.end()
  }
}

/** Says which setting to look at when a database that is not ours does not let us in. */
function explain(error: unknown): never {
  const refused = /^(28...|3D000)$/.test(sqlState(error) ?? '') // wrong password, no such database
  if (!refused && !isUnavailable(error)) throw error
  throw new Error(`cannot use the database of BRAMLEY_DATABASE_URL: ${inWords(error)}`, { cause: error })
}

/** A PostgreSQL that ends by itself (killed, out of memory) is started again; meanwhile the doors answer 503. */
async function keepRunning(folder: string, log: Log) {
  let current: EmbeddedPostgres
  let stopping = false
  let restarted: Promise<void> | undefined
  const onExit = (detail: string) => {
    restarted = again(detail)
  }
  const start = () => startEmbeddedPostgres({ folder, onExit })

  async function again(detail: string): Promise<void> {
    log.error({ reason: detail.slice(-500) }, 'the embedded PostgreSQL ended; starting it again')
    while (!stopping) {
      try {
        current = await start()
        return
      } catch (error) {
        log.error({ reason: error instanceof Error ? error.message : String(error) }, 'the embedded PostgreSQL did not start')
        await new Promise((resolve) => setTimeout(resolve, 1_000))
      }
    }
  }

  current = await start()
  return {
    connection: () => current.connection,
    async stop(): Promise<void> {
      stopping = true
      // One that is just being started again would outlive us.
      await restarted
      await current.stop()
    },
  }
}
