const MINUTE = 60_000

/** A phone that has just enrolled is awake: the first pushes follow closely (product/api.md, Diagnosis). */
const FRESH = [15_000, MINUTE, 5 * MINUTE]
/** Afterwards, while something waits and the device does not come: 15 min, 1 h, 6 h, then daily (security-guide 32). */
const USUAL = [15 * MINUTE, 60 * MINUTE, 360 * MINUTE, 1_440 * MINUTE]

/** When to push again after an accepted push that no visit has answered, in milliseconds; `attempt` counts from 0. */
export function patience(attempt: number, sinceTokenUpdateMs: number): number {
  const steps = sinceTokenUpdateMs < 10 * MINUTE ? FRESH : USUAL
  return jittered(steps[Math.min(attempt, steps.length - 1)] ?? MINUTE)
}

/** When to try again after a passing trouble, in milliseconds: what Apple asks for, or a growing pause up to 15 minutes. */
export function backoff(attempt: number, retryAfterSeconds: number | undefined): number {
  return retryAfterSeconds === undefined ? jittered(Math.min(5_000 * 2 ** attempt, 15 * MINUTE)) : retryAfterSeconds * 1_000
}

/** Up to a tenth more, so that what failed together does not return together. */
function jittered(ms: number): number {
  return Math.round(ms * (1 + Math.random() * 0.1))
}
