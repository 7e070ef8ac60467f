import type { Tx } from './db.ts'
import { Problem } from './problem.ts'

const FIND = {
  name: 'throttle_find',
  text: `select ceil(extract(epoch from window_started_at + make_interval(secs => $3) - now()))::int as seconds
    from throttles where bucket = $1 and failures >= $2 and window_started_at > now() - make_interval(secs => $3)`,
}
const COUNT = {
  name: 'throttle_count',
  text: `insert into throttles as t (bucket, failures, window_started_at) values ($1, 1, now())
    on conflict (bucket) do update set
      failures = case when t.window_started_at > now() - make_interval(secs => $2)
        then t.failures + 1 else 1 end,
      window_started_at = case when t.window_started_at > now() - make_interval(secs => $2)
        then t.window_started_at else now() end
    returning failures`,
}
const FORGET = {
  name: 'throttle_forget',
  text: `delete from throttles where window_started_at < now() - interval '1 day'`,
}

/** How much guessing is allowed: so many failures in a window, for each source of one purpose. */
export interface GuessLimit {
  purpose: string
  failures: number
  windowSeconds: number
}

/**
 * Lets one guess from `address` be made. A failure (`isWrong` says which errors are one) is counted outside the
 * attempt's own transaction, because that one is rolled back by it. Throws `rate_limited` instead of trying once the
 * limit is reached.
 */
export async function guessing<T>(
  tx: Tx, limit: GuessLimit, address: string, attempt: () => Promise<T>, isWrong: (error: unknown) => boolean,
): Promise<T> {
  const bucket = bucketOf(limit.purpose, address)
  await assertAllowed(tx, bucket, limit.failures, limit.windowSeconds)
  try {
    return await attempt()
  } catch (error) {
    if (isWrong(error)) await countFailure(tx, bucket, limit.failures, limit.windowSeconds)
    throw error
  }
}

/** Throws `rate_limited` with the seconds to wait while `bucket` has `limit` failures within its window. */
export async function assertAllowed(tx: Tx, bucket: string, limit: number, windowSeconds: number): Promise<void> {
  const [row] = await tx.rows<{ seconds: number }>(FIND, [bucket, limit, windowSeconds])
  if (row) throw limited(row.seconds)
}

/**
 * Counts one failure of `bucket`. Throws `rate_limited` when it is beyond the limit already, so that guesses made at
 * the same moment learn nothing either. Do not call it inside the transaction that the failure rolls back.
 */
export async function countFailure(tx: Tx, bucket: string, limit: number, windowSeconds: number): Promise<void> {
  const [row] = await tx.rows<{ failures: number }>(COUNT, [bucket, windowSeconds])
  if (row && row.failures > limit) throw limited(windowSeconds)
}

/** Removes counts that matter no more; for an hourly errand. */
export async function forgetOldFailures(tx: Tx): Promise<void> {
  await tx.rows(FORGET, [])
}

/** `purpose:address`; an IPv6 address counts with its whole /64, because one household owns all of it. */
export function bucketOf(purpose: string, address: string): string {
  const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(address)?.[1]
  if (mapped) return `${purpose}:${mapped}`
  return `${purpose}:${address.includes(':') ? networkOf(address) : address}`
}

function networkOf(address: string): string {
  const [head = '', tail] = address.toLowerCase().replace(/%.*$/, '').split('::')
  const left = head.split(':').filter((group) => group !== '')
  const right = (tail ?? '').split(':').filter((group) => group !== '')
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0')
  return `${[...left, ...zeros, ...right].slice(0, 4).join(':')}::/64`
}

function limited(seconds: number): Problem {
  return new Problem('rate_limited', undefined, { retryAfterSeconds: Math.max(1, seconds) })
}
