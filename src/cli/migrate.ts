import { Command } from 'commander'
import pg from 'pg'
import { environment, readConfig } from '../config.ts'
import { migrate, readMigrations, schemaVersion } from '../base/migrate.ts'
import { urlOf } from './local.ts'

/** `bramley migrate status|up`: the schema by hand, for BRAMLEY_MIGRATE=manual. */
export function migrateCommand(): Command {
  const command = new Command('migrate').description('Look at the database schema or bring it up to date.')
  command.command('status').description('Print the schema version and what this program needs.').action(async () => {
    const url = await currentUrl()
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    try {
      const version = await schemaVersion((sql) => client.query(sql))
      process.stdout.write(`schema ${version}, this program has ${readMigrations().length}\n`)
    } finally {
      await client.end()
    }
  })
  command.command('up').description('Apply what is missing.').action(async () => {
    const { from, to } = await migrate(await currentUrl())
    process.stdout.write(from === to ? `schema ${to}, nothing to do\n` : `migrated ${from} → ${to}\n`)
  })
  return command
}

async function currentUrl(): Promise<string> {
  const config = readConfig(environment())
  return urlOf(config.databaseUrl, config.dataFolder)
}
