import { join, resolve } from 'node:path'
import { openBinaries, type Binaries } from './embedded-postgres-binaries.ts'
import { clusterIn, initialise, makeFolder, sweep, type Cluster } from './embedded-postgres-cluster.ts'
import {
  ask,
  claimOwnership,
  databaseUrl,
  ensureDatabase,
  maintenance,
  type Answer,
  type EmbeddedConnection,
} from './embedded-postgres-connection.ts'
import { guarded, type EmbeddedPostgres } from './embedded-postgres-guard.ts'
import {
  disarmLockFile,
  endPostmaster,
  isPostmaster,
  pause,
  readLockFile,
  removeEmptyLockFile,
  type LockFile,
} from './embedded-postgres-process.ts'
import { startServer, type Server } from './embedded-postgres-server.ts'
import { serverUser } from './embedded-postgres-user.ts'
import { removeSocketFolder } from './embedded-postgres-socket.ts'

export { databaseUrl, type EmbeddedConnection, type EmbeddedPostgres }

export interface EmbeddedOptions {
  /** BRAMLEY_DATA/pg: holds `data`, `run` (the socket) and `postgres.log`. */
  folder: string
  /** Folder of `initdb` and `postgres` to use instead of the npm package's, such as /usr/lib/postgresql/15/bin. */
  binFolder?: string
  /** Server settings on top of our own. */
  settings?: Record<string, string>
  /** Told once when the server ends although nobody called `stop`; `detail` is the end of its log. */
  onExit?: (detail: string) => void
}

// Long enough for a server that ends in order, or for what is left of a killed one.
const PATIENCE_MS = 60_000

/**
 * Starts PostgreSQL on this folder, with the database `bramley`. One process serves a folder: while it lives, another
 * start throws one line saying so. What a killed process left running is ended in order first, so nothing committed
 * is lost and the server always has this version's programs and settings. As root, the server runs as another user
 * (`serverUser`).
 */
export async function startEmbeddedPostgres(o: EmbeddedOptions): Promise<EmbeddedPostgres> {
  if (process.platform === 'win32')
    throw new Error('The embedded PostgreSQL does not run on Windows: set BRAMLEY_DATABASE_URL')
  const place = clusterIn(resolve(o.folder))
  const cluster = { ...place, user: serverUser(place.data) }
  makeFolder(cluster)
  const binaries = openBinaries({ folder: o.binFolder, user: cluster.user, ownCopy: place.folder })
  const server = await becomeServer(cluster, binaries, o.settings ?? {})
  const owner = await claimOwnership(server.connection)
  // Two first starts at the same moment: the other one owns it, or has ended it to start its own.
  if (owner === 'taken' || owner === 'gone') throw inUse(cluster, server.pid)
  sweep(cluster)
  await ensureDatabase(owner, server.connection.database)
  return guarded(server, owner, o.onExit ?? (() => undefined))
}

/** How to reach the server that another process runs on this folder; undefined when none answers there. */
export async function findEmbeddedPostgres(folder: string): Promise<EmbeddedConnection | undefined> {
  const lock = readLockFile(clusterIn(resolve(folder)).data)
  const connection = lock && reached(lock)
  return connection && (await settled(connection)) === 'ready' ? connection : undefined
}

async function becomeServer(cluster: Cluster, binaries: Binaries, settings: Record<string, string>): Promise<Server> {
  const deadline = performance.now() + PATIENCE_MS
  while (performance.now() < deadline) {
    await clearTheWay(cluster)
    initialise(cluster, binaries)
    const server = await startServer(cluster, binaries, settings)
    if (server) return server
    await pause(100)
  }
  throw inUse(cluster, readLockFile(cluster.data)?.pid)
}

/** Ends a server that lost its owner; throws when it has one. */
async function clearTheWay(cluster: Cluster): Promise<void> {
  removeEmptyLockFile(cluster.data)
  const lock = readLockFile(cluster.data)
  const connection = lock && reached(lock)
  if (!lock || !connection) return
  const answer = await settled(maintenance(connection))
  if (answer === 'ready') await endOrphan(cluster, connection, lock.pid)
  if (answer !== 'gone' || isPostmaster(lock.pid, cluster.data)) return // it is ending: the next try will see
  disarmLockFile(join(cluster.data, 'postmaster.pid'), lock.pid)
  disarmLockFile(join(connection.host, `.s.PGSQL.${connection.port}.lock`), lock.pid)
  removeSocketFolder(connection.host)
}

async function endOrphan(cluster: Cluster, connection: EmbeddedConnection, pid: number): Promise<void> {
  const owner = await claimOwnership(connection)
  if (owner === 'taken') throw inUse(cluster, pid)
  if (owner === 'gone') return
  // A server that answers but whose process we cannot see runs in another container on the same volume.
  const visible = isPostmaster(pid, cluster.data)
  if (visible) await endPostmaster(pid)
  await owner.end()
  if (!visible) throw inUse(cluster, pid)
  removeSocketFolder(connection.host)
}

function reached(lock: LockFile): EmbeddedConnection | undefined {
  return lock.socketFolder === undefined
    ? undefined
    : { host: lock.socketFolder, port: lock.port, user: 'bramley', database: 'bramley' }
}

/** The answer of a server when it is neither starting nor stopping any more. */
async function settled(connection: EmbeddedConnection): Promise<Answer> {
  const deadline = performance.now() + PATIENCE_MS
  let answer = await ask(connection)
  while (answer === 'busy' && performance.now() < deadline) {
    await pause(50)
    answer = await ask(connection)
  }
  return answer
}

function inUse(cluster: Cluster, pid: number | undefined): Error {
  const ways = 'stop that one, or set BRAMLEY_DATA to another folder'
  return new Error(`Another Bramley already runs on ${cluster.folder} (its PostgreSQL is process ${pid}): ${ways}`)
}
