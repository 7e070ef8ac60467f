import type { Config } from './config.ts'
import type { Db } from './db.ts'
import type { Log } from './log.ts'
import type { Vault } from './vault.ts'
import type { DoWork } from './work.ts'

/** What the house runs on; passed, never imported. */
export interface Deps {
  config: Config
  db: Db
  log: Log
  vault: Vault
  work: DoWork
  /** The wall clock, only where the database's time does not decide (certificate validity on a cached answer, log lines). */
  clock: () => Date
}
