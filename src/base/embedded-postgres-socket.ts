import { lchownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cluster } from './embedded-postgres-cluster.ts'

// A Unix socket's path has room for 103 bytes (macOS; 107 on Linux), `/.s.PGSQL.5432` included.
const LONGEST_SOCKET_FOLDER = 103 - '/.s.PGSQL.5432'.length
const TEMPORARY = 'bramley-pg-'

/**
 * Makes the folder of the socket, which only the server's user (and root) may enter: in the cluster's folder, or in
 * the system's temporary one where that path would be too long for a socket. `named` is how the server is told.
 */
export function socketFolder(cluster: Cluster): { path: string; named: string } {
  const own = join(cluster.folder, 'run')
  const short = Buffer.byteLength(own) <= LONGEST_SOCKET_FOLDER
  const path = short ? own : mkdtempSync(join(tmpdir(), TEMPORARY))
  mkdirSync(path, { recursive: true, mode: 0o700 })
  if (cluster.user) lchownSync(path, cluster.user.uid, cluster.user.gid)
  return { path, named: short && cluster.user ? '../run' : path }
}

/** Removes what a socket folder in the temporary folder leaves behind. */
export function removeSocketFolder(path: string): void {
  if (path.startsWith(join(tmpdir(), TEMPORARY))) rmSync(path, { recursive: true, force: true })
}
