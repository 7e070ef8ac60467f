import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { openDb } from '../../src/base/db.ts'
import type { Deps } from '../../src/base/deps.ts'
import { openVault } from '../../src/base/vault.ts'
import { workOver } from '../../src/base/work.ts'
import { readConfig } from '../../src/config.ts'
import { recordEvent } from '../../src/features/audit/index.ts'

/** All "processes" of one test file hold the same master key, as they must. */
const vault = openVault(randomBytes(32))

export interface TestDepsOptions extends Partial<Deps> {
  /** BRAMLEY_… settings. */
  settings?: Record<string, string>
  /** What `work.emit` runs; recording the event when not given. */
  react?: Parameters<typeof workOver>[1]
}

/**
 * What a process of the house runs on, over a database of the test: default settings, a log to nowhere. The data
 * folder is only a name until something writes there. Close it with `deps.db.close()`.
 */
export function testDeps(databaseUrl: string, options: TestDepsOptions = {}): Deps {
  const { settings, react = recordEvent, ...overrides } = options
  const config = readConfig({
    BRAMLEY_CONFIG: '/dev/null', // not the developer's own bramley.yaml
    BRAMLEY_DATA: join(tmpdir(), `bramley-test-${randomBytes(6).toString('hex')}`),
    ...settings,
  })
  const log = overrides.log ?? pino({ level: 'silent' })
  const db = overrides.db ?? openDb(databaseUrl, log, 8)
  return { config, db, log, vault, work: workOver(db, react), clock: () => new Date(), ...overrides }
}
