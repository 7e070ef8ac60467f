import { spawnSync } from 'node:child_process'
import { readFileSync, readlinkSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { hasCode } from './embedded-postgres-binaries.ts'

/** What a running (or killed) PostgreSQL has written into its lock file `postmaster.pid`. */
export interface LockFile {
  pid: number
  port: number
  /** Absolute folder of the Unix socket; undefined while the server has not opened it. */
  socketFolder: string | undefined
}

/** Reads the lock file of a data folder; undefined when no server has been there or the last one left in order. */
export function readLockFile(dataFolder: string): LockFile | undefined {
  const lines = readText(join(dataFolder, 'postmaster.pid'))
    ?.split('\n')
    .map((line) => line.trim())
  const pid = Number(lines?.[0])
  if (!lines || !Number.isInteger(pid) || pid <= 0) return undefined
  // Line 5 may be relative to the data folder, as we start it.
  return { pid, port: Number(lines[3] ?? 0), socketFolder: lines[4] ? resolve(dataFolder, lines[4]) : undefined }
}

/**
 * Whether this process exists and still runs. A zombie does not: where process 1 never collects its children
 * (containers without an init) a killed server stays in the table for ever.
 */
export function isRunning(pid: number): boolean {
  const state = process.platform === 'linux' ? stateOnLinux(pid) : askPs(pid, 'state')
  return state !== '' && !/^[ZX]/.test(state)
}

/**
 * Whether this process is the PostgreSQL of this data folder, not a stranger that got the same number after a restart
 * of the machine or container.
 */
export function isPostmaster(pid: number, dataFolder: string): boolean {
  if (!isRunning(pid)) return false
  if (process.platform !== 'linux') return askPs(pid, 'comm').endsWith('postgres')
  return readText(`/proc/${pid}/comm`)?.trim() === 'postgres' && worksIn(pid) === realpathSync(dataFolder)
}

/**
 * Lets a new server start although the number in a dead one's lock file belongs to a zombie or a stranger. PostgreSQL
 * takes its parent's number for stale, and goes on to look for surviving children of the dead server by their shared
 * memory; deleting the file would leave that check out.
 */
export function disarmLockFile(file: string, deadPid: number): void {
  const text = readText(file)
  if (text === undefined || Number(text.split('\n')[0]) !== deadPid || !answersSignal(deadPid)) return
  writeFileSync(file, text.replace(/^\d+/, String(process.pid)))
}

// A server that is just starting fills its lock file within milliseconds.
const EMPTY_MS = 10_000

/** Removes a lock file that a crash left empty; PostgreSQL would refuse to start beside it for ever. */
export function removeEmptyLockFile(dataFolder: string): void {
  const file = join(dataFolder, 'postmaster.pid')
  const found = statSync(file, { throwIfNoEntry: false })
  if (found?.size === 0 && Date.now() - found.mtimeMs > EMPTY_MS) rmSync(file)
}

/**
 * Ends a PostgreSQL in order (SIGINT: disconnect everybody, checkpoint); at once with SIGQUIT when that takes too
 * long.
 */
export async function endPostmaster(
  pid: number,
  how: 'fast' | 'immediate' = 'fast',
  patienceMs = 20_000,
): Promise<void> {
  if (how === 'fast' && (await ends(pid, 'SIGINT', patienceMs))) return
  if (await ends(pid, 'SIGQUIT', 10_000)) return
  throw new Error(`PostgreSQL (process ${pid}) does not stop`)
}

async function ends(pid: number, signal: NodeJS.Signals, patienceMs: number): Promise<boolean> {
  const deadline = performance.now() + patienceMs
  sendSignal(pid, signal)
  while (isRunning(pid)) {
    if (performance.now() > deadline) return false
    await pause(10)
  }
  return true
}

/** Waits. */
export function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms))
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!hasCode(error, 'ESRCH')) throw error
  }
}

function answersSignal(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return hasCode(error, 'EPERM')
  }
}

/** The third field of /proc/<pid>/stat; the second, the name, may itself hold brackets and spaces. */
function stateOnLinux(pid: number): string {
  const stat = readText(`/proc/${pid}/stat`) ?? ''
  return stat.slice(stat.lastIndexOf(')') + 2).slice(0, 1)
}

function askPs(pid: number, field: 'state' | 'comm'): string {
  return spawnSync('ps', ['-p', String(pid), '-o', `${field}=`], { encoding: 'utf8' }).stdout.trim()
}

function worksIn(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return undefined // of another user, so not ours; or just gone
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ESRCH')) return undefined
    throw error
  }
}
