import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, existsSync, fstatSync, openSync, readFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Binaries } from './embedded-postgres-binaries.ts'
import { asServer, SERVER_ENVIRONMENT, type Cluster } from './embedded-postgres-cluster.ts'
import { ask, maintenance, type EmbeddedConnection } from './embedded-postgres-connection.ts'
import { pause, readLockFile } from './embedded-postgres-process.ts'
import { removeSocketFolder, socketFolder } from './embedded-postgres-socket.ts'

/** A PostgreSQL that we started and that takes statements. */
export interface Server {
  pid: number
  connection: EmbeddedConnection
  /** What it has written to its log since the start, the last lines of it. */
  lastWords(): string
}

/** Every commit is on the disk before it is acknowledged; sized for a small machine. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '',
  port: '5432',
  unix_socket_permissions: '0700',
  cluster_name: 'bramley',
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  shared_buffers: '128MB',
  max_connections: '100',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
}

const LOG_LIMIT = 1024 * 1024
const FASTER = /lock file "postmaster\.pid" (already exists|is empty)|pre-existing shared memory block/

/**
 * Starts the server and waits until it takes statements, however long it repairs itself after a crash. Undefined when
 * another server was faster on this folder, or what a killed one left is still ending. Throws with the last log lines
 * when it cannot start.
 */
export async function startServer(
  cluster: Cluster,
  binaries: Binaries,
  settings: Record<string, string>,
): Promise<Server | undefined> {
  const socket = socketFolder(cluster)
  const log = openLog(cluster.log)
  const all: Record<string, string> = { ...SETTINGS, ...settings, unix_socket_directories: socket.named }
  const child = spawn(
    join(binaries.folder, 'postgres'),
    [
      '-D',
      asServer(cluster, cluster.data, binaries),
      ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    // Detached: Ctrl-C in a terminal is for us alone; we end the server when our own work has ended.
    {
      ...cluster.user,
      cwd: cluster.data,
      env: SERVER_ENVIRONMENT,
      stdio: ['ignore', log.handle, log.handle],
      detached: true,
    },
  )
  closeSync(log.handle)
  child.unref()
  const connection = { host: socket.path, port: Number(all['port']), user: 'bramley', database: 'bramley' }
  const words = (): string => wordsSince(cluster.log, log.from)
  const ready = await becomesReady(child, cluster, connection)
  if (ready === true) return { pid: child.pid ?? 0, connection, lastWords: () => lastLines(words()) }
  removeSocketFolder(socket.path)
  if (FASTER.test(words())) return undefined
  throw new Error(
    `PostgreSQL did not start in ${cluster.folder}: ${ready instanceof Error ? ready.message : lastLines(words())}`,
  )
}

/** True when it takes statements, false when it ended, an error when it could not even be run. */
async function becomesReady(
  child: ChildProcess,
  cluster: Cluster,
  connection: EmbeddedConnection,
): Promise<boolean | Error> {
  let failed: Error | undefined
  child.on('error', (error) => {
    failed = error
  })
  for (;;) {
    if (failed) return failed
    if (child.exitCode !== null || child.signalCode !== null) return false
    const mine = child.pid !== undefined && readLockFile(cluster.data)?.pid === child.pid
    if (mine && (await ask(maintenance(connection))) === 'ready') return true
    await pause(15)
  }
}

function wordsSince(log: string, from: number): string {
  return existsSync(log) ? readFileSync(log).subarray(from).toString('utf8').trim() : ''
}

function lastLines(text: string): string {
  return text.split('\n').slice(-5).join('\n')
}

function openLog(file: string): { handle: number; from: number } {
  if (existsSync(file) && statSync(file).size > LOG_LIMIT) renameSync(file, `${file}.1`)
  const handle = openSync(file, 'a', 0o600)
  return { handle, from: fstatSync(handle).size }
}
