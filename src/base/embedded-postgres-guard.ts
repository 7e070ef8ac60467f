import type pg from 'pg'
import { claimOwnership, type EmbeddedConnection } from './embedded-postgres-connection.ts'
import { endPostmaster, isRunning, pause } from './embedded-postgres-process.ts'
import type { Server } from './embedded-postgres-server.ts'
import { removeSocketFolder } from './embedded-postgres-socket.ts'

/** A PostgreSQL of our own, running for this process. */
export interface EmbeddedPostgres {
  connection: EmbeddedConnection
  /** Process number of the server. */
  pid: number
  /** Ends it: in order, or at once as by a power cut ('immediate', for tests). May be called again. */
  stop(how?: 'fast' | 'immediate'): Promise<void>
}

/** Keeps the ownership of a server, and tells once when the server is no more although nobody called `stop`. */
export function guarded(server: Server, first: pg.Client, onExit: (detail: string) => void): EmbeddedPostgres {
  let owner = first
  let stopped: Promise<void> | undefined
  const watch = (client: pg.Client): void => {
    client.once('end', () => void lost())
  }
  const lost = async (): Promise<void> => {
    const again = stopped ? undefined : await regain(server)
    if (again && !stopped) watch((owner = again))
    else if (!stopped) onExit(server.lastWords())
    else await again?.end()
  }
  const stop = async (how?: 'fast' | 'immediate'): Promise<void> => {
    await endPostmaster(server.pid, how)
    await owner.end()
    removeSocketFolder(server.connection.host)
  }
  watch(first)
  return { connection: server.connection, pid: server.pid, stop: (how) => (stopped ??= stop(how)) }
}

/**
 * PostgreSQL drops every connection when one of its processes crashes, and recovers by itself: then only the lock is
 * to be taken again.
 */
async function regain(server: Server): Promise<pg.Client | undefined> {
  while (isRunning(server.pid)) {
    const owner = await claimOwnership(server.connection)
    if (owner === 'taken') return undefined
    if (owner !== 'gone') return owner
    await pause(50)
  }
  return undefined
}
