import { mkdirSync, readFileSync, rmSync, rmdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'

// The holder touches its lock every second. One left alone is dead, though its number may belong to another process
// by now.
const BEAT_MS = 1_000
const DEAD_MS = 15_000

/**
 * Runs `work` while no other process does so under this file, and gives back its result. `onWait(pid)` is told once
 * when another process has to be waited for. A lock whose process no longer exists is removed. `work` must not block
 * the thread.
 */
export async function withLock(file, work, onWait = () => undefined) {
  let told = false
  for (let holder = take(file); holder !== undefined; holder = take(file)) {
    if (isDead(file, holder)) {
      removeDead(file, holder)
      continue
    }
    if (!told && holder !== 0) onWait(holder)
    told ||= holder !== 0
    await new Promise((done) => setTimeout(done, 50))
  }
  const beat = setInterval(() => utimesSync(file, new Date(), new Date()), BEAT_MS)
  try {
    return await work()
  } finally {
    clearInterval(beat)
    rmSync(file, { force: true })
  }
}

/** Takes the lock, or says which process has it. */
function take(file) {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' })
    return undefined
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    return readHolder(file)
  }
}

/** 0 while the holder is still writing its number, or has just left. */
function readHolder(file) {
  try {
    return Number(readFileSync(file, 'utf8'))
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
    return 0
  }
}

function isDead(file, pid) {
  if (isOlderThan(file, DEAD_MS)) return true
  try {
    return pid !== 0 && !process.kill(pid, 0)
  } catch (error) {
    return error.code === 'ESRCH'
  }
}

/** Under a guard, so that nobody removes the fresh lock of the one who was faster. */
function removeDead(file, pid) {
  const guard = `${file}.guard`
  try {
    mkdirSync(guard)
  } catch {
    // Taking away a dead lock lasts microseconds: an old guard belongs to a process that died meanwhile.
    if (isOlderThan(guard, DEAD_MS)) rmdirSync(guard)
    return
  }
  if (readHolder(file) === pid) rmSync(file, { force: true })
  rmdirSync(guard)
}

function isOlderThan(file, ms) {
  const found = statSync(file, { throwIfNoEntry: false })
  return found !== undefined && Date.now() - found.mtimeMs > ms
}
