// CPU time of processes, from /proc: microseconds of a process with its children (PostgreSQL's ended backends included).
import { readFileSync, readdirSync } from 'node:fs'

const TICK = 10_000 // microseconds; USER_HZ is 100 on every Linux that Node runs on

/** @param {number} root */
export function cpuOf(root) {
  const parents = new Map()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const text = readFileSync(`/proc/${entry}/stat`, 'latin1')
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
      parents.set(Number(entry), { parent: Number(fields[1]), ticks: fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) })
    } catch {
      // it ended while we looked
    }
  }
  let sum = 0
  for (const [pid, { ticks }] of parents) {
    let at = pid
    while (at > 1 && at !== root) at = parents.get(at)?.parent ?? 0
    if (at === root) sum += ticks
  }
  return sum * TICK
}
