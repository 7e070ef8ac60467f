import type { CheckinMessage } from '../../apple/wire/checkin.ts'
import type { Deps } from '../../base/deps.ts'
import type { Work } from '../../base/work.ts'
import { insertEvent, webhookRow, type Said } from '../webhook/index.ts'
import type { EnrollmentState } from './tables.ts'

const SPOKE = {
  name: 'enrollment_that_spoke',
  text: `select e.state, coalesce(u.token_update_tally, e.token_update_tally) as tally
    from certificates c join enrollments e on e.id = c.enrollment_id
    left join enrollments u on u.parent_id = e.id and u.user_key = $2 and u.channel = 'user'
    where c.sha256 = $1`,
}

/**
 * Leaves the webhook's event of a check-in, in the transaction that accepts the message; nothing without a webhook. A held newcomer
 * is not told of: to the receiver it would look like the device that is enrolled. A poll tells in its own statement.
 */
export async function tellWebhook(
  deps: Deps, work: Work, { channel, MessageType }: CheckinMessage, o: { certificateSha256: Buffer; said: Said },
): Promise<void> {
  if (!deps.config.webhook) return
  const [spoke] = await work.tx.rows<{ state: EnrollmentState; tally: number }>(SPOKE, [o.certificateSha256, channel.userKey])
  if (!spoke || spoke.state === 'pending_approval') return
  const message = { kind: 'checkin', channel, messageType: MessageType, tokenUpdateTally: spoke.tally } as const
  const row = webhookRow(deps, { ...o.said, message, at: work.now })
  if (row) await insertEvent(work.tx, row)
}
