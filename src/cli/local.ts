import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { environment, readConfig } from '../config.ts'
import { openDb } from '../base/db.ts'
import type { Deps } from '../base/deps.ts'
import { databaseUrl, findEmbeddedPostgres } from '../base/embedded-postgres.ts'
import { createLog } from '../base/log.ts'
import { readSecretKey } from '../base/secret-key.ts'
import { openVault } from '../base/vault.ts'
import { workOver } from '../base/work.ts'
import { react, reactToAll } from '../reactions.ts'

/** Runs `body` on the database of the server that these settings belong to. Who may read its files needs no key. */
export async function withLocalDeps<T>(body: (deps: Deps) => Promise<T>): Promise<T> {
  const config = readConfig(environment())
  const url = await urlOf(config.databaseUrl, config.dataFolder)
  // A key made here would be another one than the server's.
  if (!existsSync(config.secretKeyFile)) {
    throw new Error(`there is no ${config.secretKeyFile}: start the server first, or name its file in BRAMLEY_SECRET_KEY_FILE`)
  }
  const log = createLog('warn', pino.destination({ fd: 2, sync: true })) // stdout is for the answer
  const db = openDb(url, log, 2)
  try {
    const vault = openVault(readSecretKey(config.secretKeyFile).key)
    return await body({ config, db, log, vault, work: workOver(db, react, reactToAll), clock: () => new Date() })
  } finally {
    await db.close()
  }
}

/** The URL of the database in use; the embedded one answers only while its server runs. */
export async function urlOf(url: string | undefined, dataFolder: string): Promise<string> {
  if (url !== undefined) return url
  const connection = await findEmbeddedPostgres(join(dataFolder, 'pg'))
  if (!connection) throw new Error(`no server runs on ${dataFolder}: start it first (npm start)`)
  return databaseUrl(connection)
}
