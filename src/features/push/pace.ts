import { setTimeout as pause } from 'node:timers/promises'

const SECOND = 1_000

/** At most `perSecond` turns a second, evenly spread; nobody waits while the rate is not used up. */
export function paced(perSecond: number): () => Promise<void> {
  const step = SECOND / perSecond
  let next = 0
  return async () => {
    const now = performance.now()
    next = Math.max(next + step, now - SECOND)
    if (next > now) await pause(next - now)
  }
}
