import { Command } from 'commander'
import { join } from 'node:path'
import pg from 'pg'
import { environment, readConfig } from '../config.ts'
import { databaseUrl, findEmbeddedPostgres, startEmbeddedPostgres } from '../base/embedded-postgres.ts'
import { migrate, readMigrations, schemaVersion } from '../base/migrate.ts'
import { urlOf } from './local.ts'

/** `bramley migrate status|up`: the schema by hand, for BRAMLEY_MIGRATE=manual. */
export function migrateCommand(): Command {
  const command = new Command('migrate').description('Look at the database schema or bring it up to date.')
  command.command('status').description('Print the schema version and what this program needs.').action(async () => {
    const config = readConfig(environment())
    const client = new pg.Client({ connectionString: await urlOf(config.databaseUrl, config.dataFolder) })
    await client.connect()
    try {
      const version = await schemaVersion((sql) => client.query(sql))
      process.stdout.write(`schema ${version}, this program has ${readMigrations().length}\n`)
    } finally {
      await client.end()
    }
  })
  command.command('up').description('Apply what is missing.').action(async () => {
    const { from, to } = await onDatabase((url) => migrate(url))
    process.stdout.write(from === to ? `schema ${to}, nothing to do\n` : `migrated ${from} → ${to}\n`)
  })
  return command
}

/** On the database in use, or on our own: with BRAMLEY_MIGRATE=manual no server starts it on an older schema. */
async function onDatabase<T>(body: (url: string) => Promise<T>): Promise<T> {
  const { databaseUrl: given, dataFolder } = readConfig(environment())
  const folder = join(dataFolder, 'pg')
  if (given !== undefined || (await findEmbeddedPostgres(folder))) return body(await urlOf(given, dataFolder))
  const embedded = await startEmbeddedPostgres({ folder })
  try {
    return await body(databaseUrl(embedded.connection))
  } finally {
    await embedded.stop()
  }
}
