import type { Deps } from '../../base/deps.ts'
import { counted } from '../../base/metrics.ts'
import { post, type Delivery } from './post.ts'
import { bodyPlace } from './row.ts'
import * as store from './store.ts'
import type { Claim } from './store.ts'

// A body may have megabytes, and this many are held at once.
const BATCH = 16
const LEASE_SECONDS = 60

const HOUR = 3_600
/** A receiver that says no would block its device's events: an hour. One that is away comes back: a day. */
const GIVE_UP_AFTER = { refused: HOUR, away: 24 * HOUR }
const AWAY = new Set([408, 429, 502, 503, 504])

/**
 * Delivers what is due, once, and returns how many events were claimed. Several processes may do this at the same time: each event
 * goes out under a ticket, and a device's next event only when the one before is accepted or given up. An event whose process
 * dies is sent again when its lease ends: at least once, with the same `event_id`.
 */
export async function deliverDue(deps: Deps): Promise<number> {
  const { webhook } = deps.config
  if (!webhook) return 0
  const claims = await store.claim(deps.db.read, BATCH, LEASE_SECONDS)
  await Promise.all(claims.map(async (claimed) => {
    const body = deps.vault.open(claimed.sealed_body, bodyPlace(claimed.id))
    await settle(deps, claimed, await post(webhook, body))
  }))
  return claims.length
}

async function settle(deps: Deps, claimed: Claim, delivery: Delivery): Promise<void> {
  const { read } = deps.db
  const result = resultOf(delivery)
  if (result === 'accepted') {
    counted.webhook(result)
    return store.done(read, claimed)
  }
  const line = { event: claimed.id, device: claimed.stream, attempts: claimed.attempts, reason: 'failed' in delivery ? delivery.failed : `status ${delivery.status}` }
  if (await store.giveUp(read, claimed, GIVE_UP_AFTER[result])) {
    counted.webhook('given_up')
    return deps.log.error(line, 'webhook_given_up')
  }
  counted.webhook(result)
  await store.again(read, claimed)
  // The first failure of each event is worth a line; the others say the same.
  deps.log[claimed.attempts === 1 ? 'warn' : 'debug'](line, 'webhook_failed')
}

function resultOf(delivery: Delivery): 'accepted' | 'refused' | 'away' {
  if ('failed' in delivery || AWAY.has(delivery.status)) return 'away'
  return delivery.status >= 200 && delivery.status < 300 ? 'accepted' : 'refused'
}
