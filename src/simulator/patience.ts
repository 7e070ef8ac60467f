import { setTimeout as delay } from 'node:timers/promises'
import type { HttpAnswer } from './https-client.ts'

/**
 * How a device tries again: after `firstPauseMs`, doubled each time up to `longestPauseMs`, `attempts` times in all. A
 * Retry-After is honoured, but no longer than `longestRetryAfterMs`.
 */
export interface Patience {
  firstPauseMs: number
  longestPauseMs: number
  longestRetryAfterMs: number
  attempts: number
}

export const DEFAULT_PATIENCE: Patience = {
  firstPauseMs: 500, longestPauseMs: 60_000, longestRetryAfterMs: 300_000, attempts: Infinity,
}

/** The device has no network; somebody made it so. Trying again would not help. */
export class Offline extends Error {
  override readonly name = 'Offline'

  constructor() {
    super('the device is offline')
  }
}

/**
 * Sends until there is an answer that is not "come again": connection errors, 5xx and 429 are tried again (protocol:
 * what a device does with HTTP statuses). Gives the last answer, or rejects with the last error, when attempts are used
 * up; rejects at once when the device is Offline or `signal` says so.
 */
export async function patiently(
  send: () => Promise<HttpAnswer>, patience: Patience, signal: AbortSignal,
): Promise<HttpAnswer> {
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted()
    const answer = await send().catch((error: unknown) => {
      if (attempt >= patience.attempts || error instanceof Offline) throw error
      return undefined
    })
    if (answer && (!comesAgain(answer) || attempt >= patience.attempts)) return answer
    await delay(pauseAfter(attempt, answer, patience), undefined, { signal })
  }
}

function comesAgain({ status }: HttpAnswer): boolean {
  return status >= 500 || status === 429
}

/** How long to wait after this attempt, in milliseconds. */
export function pauseAfter(attempt: number, answer: HttpAnswer | undefined, patience: Patience): number {
  const seconds = Number(answer?.headers['retry-after'] ?? NaN)
  if (seconds >= 0) return Math.min(seconds * 1_000, patience.longestRetryAfterMs)
  return Math.min(patience.firstPauseMs * 2 ** (attempt - 1), patience.longestPauseMs)
}
