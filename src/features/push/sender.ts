import type { PushAnswer } from '../../apple/cloud/apns.ts'
import { pushDisposition } from '../../apple/cloud/apns.ts'
import type { Deps } from '../../base/deps.ts'
import { counted } from '../../base/metrics.ts'
import { stopTopic } from './certificates.ts'
import type { Client, Clients } from './clients.ts'
import { backoff, patience } from './patience.ts'
import * as outcomes from './outcomes.ts'
import { claim, giveBack, settle, type Claim } from './wakes.ts'

const BATCH = 200
export const LEASE_SECONDS = 60
const KEEP_SECONDS = 7 * 24 * 3_600 // apns-expiration: Apple keeps the newest push for a phone that is off

/**
 * Sends what is due, once: claims wakes, pushes, settles each with its ticket. Returns how many were claimed. Several
 * processes may do this at the same time; a claim lost to a crash is due again when its lease ends.
 */
export async function sendDue(deps: Deps, clients: Clients, stopping: AbortSignal): Promise<number> {
  const topics = await clients.refresh()
  if (topics.length === 0) return 0
  const claims = await claim(deps.db.read, BATCH, LEASE_SECONDS, topics)
  const sent: Promise<unknown>[] = []
  for (const [index, claimed] of claims.entries()) {
    await clients.pace()
    if (stopping.aborted) {
      await giveBack(deps.db.read, claims.slice(index).map((unsent) => unsent.ticket))
      break
    }
    sent.push(sendOne(deps, clients, claimed))
  }
  await Promise.all(sent)
  return claims.length
}

interface Sent {
  client: Client
  answer: PushAnswer
}

/**
 * Sends one push that is claimed, and settles it; undefined, and given back, when no usable certificate of its topic is left.
 * Never rejects.
 */
export async function sendOne(deps: Deps, clients: Clients, claimed: Claim): Promise<PushAnswer | undefined> {
  const sent = await exchange(deps, clients, claimed)
  if (sent) count(sent)
  try {
    if (sent) await record(deps, sent, claimed)
    else await giveBack(deps.db.read, [claimed.ticket])
  } catch (error) {
    // The lease ends by itself and the push is repeated: better twice than never.
    deps.log.warn({ reason: error instanceof Error ? error.message : String(error) }, 'could not record a push')
  }
  return sent?.answer
}

/** Pushes with the present certificate, and again when a newer one came meanwhile and the older one did not reach Apple or was refused. */
async function exchange(deps: Deps, clients: Clients, claimed: Claim): Promise<Sent | undefined> {
  for (;;) {
    const client = clients.of(claimed.topic)
    if (!client) return undefined
    const answer = await client.apns.send({
      token: claimed.push_token,
      topic: claimed.topic,
      pushMagic: claimed.push_magic,
      expiration: Math.floor(deps.clock().getTime() / 1_000) + KEEP_SECONDS,
    })
    const refused = pushDisposition(answer, claimed.token_updated_at) === 'topic_broken'
    if (refused) await clients.refresh().catch(() => undefined)
    if (!(refused || answer.outcome === 'unreachable') || clients.of(claimed.topic) === client) return { client, answer }
  }
}

function count({ client, answer }: Sent): void {
  counted.push(answer.outcome === 'refused' ? (answer.reason ?? String(answer.status)) : answer.outcome, client.simulated)
}

/** What Apple said decides when the next push is due; it never changes the enrollment's state (shared decision 14). */
async function record(deps: Deps, { client, answer }: Sent, claimed: Claim): Promise<void> {
  await deps.work({ kind: 'system' }, async (work) => {
    await outcomes.insertPush(work, claimed, answer)
    const sinceToken = work.now.getTime() - claimed.token_updated_at.getTime()
    const again = (ms: number) => settle(work.tx, claimed, new Date(work.now.getTime() + ms))
    switch (pushDisposition(answer, claimed.token_updated_at)) {
      case 'accepted':
        return again(patience(claimed.attempt, sinceToken))
      case 'retry':
        return again(backoff(claimed.attempt, answer.outcome === 'refused' ? answer.retryAfterSeconds : undefined))
      case 'token_dead':
      case 'flag':
        return outcomes.stopPushing(work, claimed, reasonOf(answer))
      case 'topic_broken':
        deps.log.error({ topic: client.topic, reason: reasonOf(answer) }, 'Apple refuses the push certificate; nothing is pushed with it until one is uploaded')
        await stopTopic(work, client, reasonOf(answer))
        return again(0)
      case 'give_up':
        return again(24 * 3_600_000)
    }
  })
}

function reasonOf(answer: PushAnswer): string {
  return answer.outcome === 'refused' ? (answer.reason ?? `status ${answer.status}`) : answer.outcome
}
