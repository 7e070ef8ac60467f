import type { PushAnswer } from '../../apple/cloud/apns.ts'
import type { Deps } from '../../base/deps.ts'
import type { EnrollmentId } from '../../base/ids.ts'
import type { Clients } from './clients.ts'
import { LEASE_SECONDS, sendOne } from './sender.ts'
import { take, type Claim } from './wakes.ts'

// Each push is recorded in a transaction of its own; more at once would take the database from the phones.
const AT_ONCE = 100

/**
 * Pushes to these devices and waits for Apple's answers, for callers that want to know. Each device has its wake as ever:
 * taken under a ticket while the push is out, so that no other sender repeats it, and kept until the device visits, so that
 * a crash in between loses nothing. Without an answer are those that cannot be pushed to: not enrolled, no token or a dead
 * one, no usable certificate of their topic.
 */
export async function pushNow(deps: Deps, clients: Clients, enrollments: EnrollmentId[]): Promise<Map<EnrollmentId, PushAnswer>> {
  const answers = new Map<EnrollmentId, PushAnswer>()
  const topics = await clients.refresh()
  for (let from = 0; from < enrollments.length; from += AT_ONCE) {
    const claims = await take(deps.db.read, enrollments.slice(from, from + AT_ONCE), LEASE_SECONDS, topics)
    for (const [enrollment, answer] of await sendAll(deps, clients, claims)) if (answer) answers.set(enrollment, answer)
  }
  return answers
}

async function sendAll(deps: Deps, clients: Clients, claims: Claim[]): Promise<[EnrollmentId, PushAnswer | undefined][]> {
  const sent: Promise<[EnrollmentId, PushAnswer | undefined]>[] = []
  for (const claimed of claims) {
    await clients.pace()
    sent.push(sendOne(deps, clients, claimed).then((answer) => [claimed.enrollment_id, answer]))
  }
  return Promise.all(sent)
}
