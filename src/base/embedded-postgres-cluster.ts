import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { join } from 'node:path'
import { hasCode, type Binaries } from './embedded-postgres-binaries.ts'
import type { ServerUser } from './embedded-postgres-user.ts'

/** Where one embedded PostgreSQL lives and whose it is. */
export interface Cluster {
  folder: string
  /** The data folder that PostgreSQL itself knows. */
  data: string
  log: string
  user: ServerUser | undefined
}

/** PostgreSQL gets no setting of ours by its environment, least of all our secrets. */
export const SERVER_ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }

/** The places inside the folder of a cluster; nothing is touched. */
export function clusterIn(folder: string): Pick<Cluster, 'folder' | 'data' | 'log'> {
  return { folder, data: join(folder, 'data'), log: join(folder, 'postgres.log') }
}

/** Makes the folder, which only its owner may enter. */
export function makeFolder(cluster: Cluster): void {
  mkdirSync(cluster.folder, { recursive: true, mode: 0o700 })
  if (cluster.user) lchownSync(cluster.folder, cluster.user.uid, cluster.user.gid)
}

/**
 * Makes the data folder with initdb unless there is one. It is made beside its place and moved there when complete,
 * so that neither a crash nor a second process leaves half of one. Throws when the data need another major version.
 */
export function initialise(cluster: Cluster, binaries: Binaries): void {
  if (!existsSync(join(cluster.data, 'PG_VERSION'))) create(cluster, binaries)
  checkVersion(cluster.data, binaries)
  // A folder put back from a backup may have lost its owner and mode; PostgreSQL insists on both.
  if (cluster.user && lstatSync(cluster.data).uid === 0) chownTree(cluster.data, cluster.user)
  chmodSync(cluster.data, 0o700)
}

function create(cluster: Cluster, binaries: Binaries): void {
  const fresh = mkdtempSync(`${cluster.data}.new-`)
  if (cluster.user) lchownSync(fresh, cluster.user.uid, cluster.user.gid)
  const locale =
    binaries.major >= 17
      ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C']
      : ['--locale=C.UTF-8', '--lc-messages=C']
  const made = spawnSync(
    join(binaries.folder, 'initdb'),
    [
      '-D',
      asServer(cluster, fresh, binaries),
      '-U',
      'bramley',
      '-E',
      'UTF8',
      ...locale,
      '--auth-local=trust',
      '--auth-host=reject',
      '--data-checksums',
      '--no-instructions',
    ],
    { ...cluster.user, cwd: fresh, env: SERVER_ENVIRONMENT, encoding: 'utf8' },
  )
  if (made.status !== 0) {
    rmSync(fresh, { recursive: true })
    throw new Error(`PostgreSQL could not make ${cluster.data}: ${made.error?.message ?? made.stderr.trim()}`)
  }
  moveInto(fresh, cluster)
}

function moveInto(fresh: string, cluster: Cluster): void {
  try {
    renameSync(fresh, cluster.data)
    syncFolder(cluster.folder)
  } catch (error) {
    if (!hasCode(error, 'ENOTEMPTY', 'EEXIST')) throw error
    rmSync(fresh, { recursive: true }) // another process was faster
  }
}

/**
 * The name under which the server is told its data folder. Another user may not be able to search the folders above
 * it (/root, or a BRAMLEY_DATA closed to others); by its working directory it always gets there. Up to version 15
 * PostgreSQL leaves that directory while it looks for its programs and cannot come back.
 */
export function asServer(cluster: Cluster, folder: string, binaries: Binaries): string {
  return cluster.user && process.platform === 'linux' && binaries.major >= 16 ? '/proc/self/cwd' : folder
}

/** Removes unfinished data folders of starts that were killed. For the owner only. */
export function sweep(cluster: Cluster): void {
  for (const name of readdirSync(cluster.folder)) {
    if (name.startsWith('data.new-')) rmSync(join(cluster.folder, name), { recursive: true, force: true })
  }
}

function checkVersion(data: string, binaries: Binaries): void {
  const made = Number(readFileSync(join(data, 'PG_VERSION'), 'utf8'))
  if (made === binaries.major) return
  const ways = 'start the Bramley that made it, or move it aside'
  throw new Error(`${data} was made by PostgreSQL ${made} and this is PostgreSQL ${binaries.major}: ${ways}`)
}

function chownTree(path: string, user: ServerUser): void {
  lchownSync(path, user.uid, user.gid)
  if (!lstatSync(path).isDirectory()) return
  for (const name of readdirSync(path)) chownTree(join(path, name), user)
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
