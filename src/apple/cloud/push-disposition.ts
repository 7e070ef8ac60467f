import type { PushAnswer } from './apns-push.ts'

/**
 * What an answer asks of the sender. `retry`: push again later, with backoff. `token_dead`: stop pushing to this token
 * until the next TokenUpdate. `flag`: the token does not belong to this topic or environment, an operator's error that
 * is usually fleet-wide; stop and show it, the enrollment stays. `topic_broken`: the push certificate is refused, so
 * stop the whole topic and raise the alarm. `give_up`: the request was wrong, the same one would be refused again.
 */
export type PushDisposition = 'accepted' | 'retry' | 'token_dead' | 'flag' | 'topic_broken' | 'give_up'

/**
 * Judges an answer, by status first because the reason may be missing (Apple, "Handling notification responses from
 * APNs"). A 410 whose timestamp is not newer than `tokenUpdatedAt` speaks of an earlier life of the token: the device
 * has since told us that it lives, so it is a `retry` and never ends the pushing.
 */
export function pushDisposition(answer: PushAnswer, tokenUpdatedAt: Date): PushDisposition {
  if (answer.outcome === 'accepted') return 'accepted'
  if (answer.outcome === 'unreachable') return 'retry'
  const { status, reason, timestamp } = answer
  if (status === 410) return timestamp && timestamp <= tokenUpdatedAt ? 'retry' : 'token_dead'
  if (status === 403) return 'topic_broken'
  if (status === 429 || status >= 500) return 'retry'
  return (status === 400 && badRequests.get(reason ?? '')) || 'give_up'
}

const badRequests = new Map<string, PushDisposition>([
  ['BadDeviceToken', 'flag'],
  ['DeviceTokenNotForTopic', 'flag'],
  ['IdleTimeout', 'retry'], // says that the connection idled, nothing about the push
])
