import type { Config } from './base/config.ts'
import { openDb } from './base/db.ts'
import type { Deps } from './base/deps.ts'
import { readSecretKey } from './base/secret-key.ts'
import { openVault } from './base/vault.ts'
import { vaultFits } from './base/vault-canary.ts'
import { workOver } from './base/work.ts'
import { react, reactToAll } from './reactions.ts'

/**
 * What a process of this server runs on, over the database at `url`; whether the master key was made just now. Throws
 * an Error with one clear line for a key that is not the one of this database.
 */
export async function furnish(config: Config, log: Deps['log'], url: string): Promise<{ deps: Deps; created: boolean }> {
  const { key, created } = readSecretKey(config.secretKeyFile)
  const db = openDb(url, log, config.databasePool)
  const deps: Deps = { config, db, log, vault: openVault(key), work: workOver(db, react, reactToAll), clock: () => new Date() }
  if (await vaultFits(deps)) return { deps, created }
  await db.close()
  throw new Error(`${config.secretKeyFile} is not the key that sealed this database: put the right file in its place`)
}
