import { Problem } from '../../base/problem.ts'

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const
const LONGEST = 3_650 * SECONDS.d

/** A duration of the API: `90s`, `15m`, `72h`, `7d`. */
export const DURATION = /^([1-9]\d{0,8})([smhd])$/

/**
 * When a link ends, from `expires_in` or `expires_at`; null when neither is given. Throws `validation_failed` for both
 * at once, for a time that is over, and for more than ten years.
 */
export function expiryOf(
  now: Date, given: { expires_in?: string | undefined; expires_at?: string | null | undefined },
): Date | null {
  const { expires_in: duration, expires_at: at } = given
  if (duration !== undefined && at) throw refused('/expires_in', 'give expires_in or expires_at, not both')
  if (duration === undefined) return at ? checked('/expires_at', now, new Date(at)) : null
  return checked('/expires_in', now, new Date(now.getTime() + secondsOf(duration) * 1_000))
}

function secondsOf(duration: string): number {
  const [, count, unit] = DURATION.exec(duration) ?? []
  if (count === undefined || unit === undefined) throw refused('/expires_in', 'must look like 90s, 15m, 72h or 7d')
  return Math.min(Number(count) * SECONDS[unit as keyof typeof SECONDS], LONGEST + 1)
}

function checked(pointer: string, now: Date, expiry: Date): Date {
  const seconds = (expiry.getTime() - now.getTime()) / 1_000
  if (seconds <= 0) throw refused(pointer, 'lies in the past')
  if (seconds > LONGEST) throw refused(pointer, 'must be within ten years')
  return expiry
}

function refused(pointer: string, detail: string): Problem {
  return new Problem('validation_failed', undefined, { errors: [{ pointer, code: 'expiry', detail }] })
}
