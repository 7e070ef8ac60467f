import pg from 'pg'
import { hasCode } from './embedded-postgres-binaries.ts'
import { pause } from './embedded-postgres-process.ts'

/** How to reach the embedded PostgreSQL: `host` is the folder of its Unix socket, there is no password. */
export interface EmbeddedConnection {
  host: string
  port: number
  user: string
  database: string
}

const OWNER_LOCK = 0x62726d70 // 'brmp': held in the database `postgres` by the one process that serves this folder
const MAINTENANCE = 'postgres'

/** The same as a libpq URL, for BRAMLEY_DATABASE_URL, psql and `pg`. */
export function databaseUrl(connection: EmbeddedConnection, database = connection.database): string {
  const query = new URLSearchParams({ host: connection.host, port: String(connection.port) })
  return `postgres://${connection.user}@localhost/${encodeURIComponent(database)}?${query.toString()}`
}

/** `ready` takes statements, `busy` is starting or stopping, `missing` lacks the database, `gone` does not answer. */
export type Answer = 'ready' | 'busy' | 'missing' | 'gone'

/** Asks whether a server takes statements at this socket. */
export async function ask(connection: EmbeddedConnection): Promise<Answer> {
  try {
    await (await connect(connection, 'probe')).end()
    return 'ready'
  } catch (error) {
    const answer = answerIn(error)
    if (answer === undefined) throw error
    return answer
  }
}

function answerIn(error: unknown): Answer | undefined {
  if (hasCode(error, '57P01', '57P02', '57P03')) return 'busy'
  if (hasCode(error, '3D000')) return 'missing'
  if (hasCode(error, '53300')) return 'ready' // too many connections: it surely lives
  if (hasCode(error, 'ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE')) return 'gone'
  return error instanceof Error && error.message.startsWith('Connection terminated') ? 'busy' : undefined
}

/**
 * Becomes the owner of a running server: an advisory lock that lives as long as the returned connection, so that the
 * death of a process frees it without any file to clean up. `taken` when another process holds it, `gone` when the
 * server ends meanwhile.
 */
export async function claimOwnership(connection: EmbeddedConnection): Promise<pg.Client | 'taken' | 'gone'> {
  try {
    return (await tryClaim(connection)) ?? 'taken'
  } catch (error) {
    if (answerIn(error) === undefined) throw error
    return 'gone'
  }
}

async function tryClaim(connection: EmbeddedConnection): Promise<pg.Client | undefined> {
  const client = await connect({ ...connection, database: MAINTENANCE }, 'owner')
  // A killed owner's lock is free as soon as the server has noticed the closed socket.
  for (let tries = 0; tries < 20; tries++) {
    const { rows } = await client.query<{ mine: boolean }>('select pg_try_advisory_lock($1) as mine', [OWNER_LOCK])
    if (rows[0]?.mine) return client
    await pause(50)
  }
  await client.end()
  return undefined
}

/** Creates the database unless it exists. */
export async function ensureDatabase(owner: pg.Client, name: string): Promise<void> {
  const { rowCount } = await owner.query('select from pg_database where datname = $1', [name])
  if (rowCount === 0) await owner.query(`create database ${pg.escapeIdentifier(name)}`)
}

/** The connection to the database every server has. */
export function maintenance(connection: EmbeddedConnection): EmbeddedConnection {
  return { ...connection, database: MAINTENANCE }
}

async function connect(connection: EmbeddedConnection, purpose: string): Promise<pg.Client> {
  const client = new pg.Client({
    ...connection,
    application_name: `bramley ${purpose}`,
    connectionTimeoutMillis: 10_000,
  })
  client.on('error', () => undefined) // whoever waits on it is told by its own query or by 'end'
  await client.connect()
  return client
}
