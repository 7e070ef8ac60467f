import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import type { Log } from './log.ts'
import { Problem } from './problem.ts'

/** A statement that is prepared once per connection under its name. */
export interface Statement {
  name: string
  text: string
}

/** One transaction (or one borrowed connection) to ask. */
export interface Tx {
  /** Rows of a named statement. */
  rows<R extends object>(statement: Statement, values: unknown[]): Promise<R[]>
  /** Drizzle over the same connection, for ordinary queries. */
  orm: NodePgDatabase
}

export interface Db {
  pool: pg.Pool
  /** Reads outside a transaction: one statement, one connection, no lock held. */
  read: Tx
  /** A dedicated connection for LISTEN. */
  connectListener(): Promise<pg.Client>
  close(): Promise<void>
}

// bigint columns are row numbers and counters of ours, far below 2^53.
pg.types.setTypeParser(pg.types.builtins.INT8, Number)

/**
 * A bounded pool of prepared-statement connections. `url` is a libpq URL; statements end after 5 s, waiting for a
 * connection after 5 s (both become 503 at the doors).
 */
export function openDb(url: string, log: Log, max = 16): Db {
  const pool = new pg.Pool({
    connectionString: url,
    max,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 60_000,
    statement_timeout: 5_000,
    idle_in_transaction_session_timeout: 30_000,
    keepAlive: true,
    application_name: 'bramley',
  })
  // Without a listener the loss of one idle connection would end the process.
  pool.on('error', (error) => log.warn({ reason: error.message }, 'lost an idle database connection'))
  return {
    pool,
    read: txOver(pool),
    connectListener: () => connectListener(url),
    close: () => pool.end(),
  }
}

/** The Tx of a pool or of one client. */
export function txOver(target: pg.Pool | pg.PoolClient): Tx {
  let orm: NodePgDatabase | undefined
  return {
    async rows<R extends object>(statement: Statement, values: unknown[]): Promise<R[]> {
      const result = await target.query<R>({ name: statement.name, text: statement.text, values })
      return result.rows
    },
    get orm() {
      return (orm ??= drizzle(target as pg.Pool))
    },
  }
}

async function connectListener(url: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url, connectionTimeoutMillis: 5_000, keepAlive: true, application_name: 'bramley listener',
  })
  await client.connect()
  return client
}

// Classes 08 (connection), 53 (resources), 57P0x (shutting down); cancelled by timeout; read-only standby.
const UNAVAILABLE = /^(08...|53...|57P0.|57014|25006|55P03|58...)$/
// What the system says, in a container network also that the name is unknown; and what the driver says.
const LOST = new RegExp([
  'ECONN|EPIPE|ENOENT|ETIMEDOUT|E(HOST|NET)UNREACH|ENOTFOUND|EAI_AGAIN',
  'Connection terminated|timeout exceeded when trying to connect|timeout expired|not queryable|Client was closed',
].join('|'))

/** Whether this error says that the database is away, full or too slow; then the answer is 503 and the caller tries again. */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if ('code' in error && typeof error.code === 'string') return UNAVAILABLE.test(error.code) || LOST.test(error.code)
  // A message that wraps another error (Drizzle's) quotes values that somebody sent; the innermost one is the driver's.
  return error.cause instanceof Error ? isUnavailable(error.cause) : LOST.test(error.message)
}

/** The SQLSTATE or system error code of an error, also when Drizzle has wrapped it. */
export function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const own = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return own ?? sqlState(error.cause)
}

/** Turns a database error that means "away" into the Problem for it; everything else is returned as it came. */
export function asProblem(error: unknown): unknown {
  if (error instanceof Problem || !isUnavailable(error)) return error
  return new Problem('database_unavailable', undefined, { cause: error, retryAfterSeconds: 5 })
}
