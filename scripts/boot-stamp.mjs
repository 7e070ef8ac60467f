import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join, relative, sep } from 'node:path'

const NEEDED = [20, 19]

/** Whether a Node version such as `20.19.1` is new enough. */
export function isNodeNewEnough(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])
}

/** The stamp of an installation: other packages or another platform give another one. */
export function installStamp(lockText, platform = `${process.platform}-${process.arch}`) {
  return sha256([
    ['platform', platform],
    ['package-lock.json', lockText],
  ])
}

/**
 * Whether what npm says is installed (`node_modules/.package-lock.json`) is what the lock file asks for; then an `npm
 * ci` that somebody ran by hand need not be repeated. Optional packages may be missing: most are for other platforms.
 */
export function isInstalled(lock, installed) {
  return Object.entries(lock.packages).every(([path, wanted]) => {
    const found = installed.packages[path]
    return path === '' || (found ? found.version === wanted.version : wanted.optional === true)
  })
}

/** The stamp of a build: content and names of all sources, compiler settings and packages. */
export function buildStamp(root) {
  const settings = readdirSync(root)
    .filter((name) => /^(tsconfig.*|package-lock)\.json$/.test(name))
    .map((name) => join(root, name))
  const files = [...settings, ...filesUnder(join(root, 'src'))].toSorted((a, b) => (a < b ? -1 : 1))
  return sha256(files.map((file) => [relative(root, file).split(sep).join('/'), readFileSync(file)]))
}

/** Every file below a folder. */
export function filesUnder(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? filesUnder(path) : [path]
  })
}

/** The text of a file, undefined when there is none. */
export function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

function sha256(parts) {
  const hash = createHash('sha256')
  // Lengths first, so that no two lists of names and contents run together.
  for (const [name, content] of parts) hash.update(`${name.length} ${content.length} ${name}`).update(content)
  return hash.digest('hex')
}
