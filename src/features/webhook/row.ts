import { randomBytes } from 'node:crypto'
import type { Deps } from '../../base/deps.ts'
import { shapeEvent, type Message, type Said } from './shape.ts'

/** What we say of a row of `webhook_events`; the rest of it is the database's. */
export interface WebhookRow {
  id: string
  stream: string
  sealedBody: Buffer
}

/** Everything that an event tells of. */
export interface Facts extends Said {
  message: Message
  at: Date
}

/**
 * The outbox row of one accepted message; undefined when no webhook is set. It depends on nothing in the database, so it can be
 * written by the very statement that stores the message.
 */
export function webhookRow(deps: Pick<Deps, 'config' | 'vault'>, { message, at, ...said }: Facts): WebhookRow | undefined {
  if (!deps.config.webhook) return undefined
  const id = randomBytes(8).toString('hex') // 16 digits: as long as upstream's
  const body = shapeEvent(id, message, said, at)
  return { id, stream: message.channel.deviceKey, sealedBody: deps.vault.seal(Buffer.from(body), bodyPlace(id)) }
}

/** The vault's place of an event's body. */
export function bodyPlace(id: string): string {
  return `webhook_events.sealed_body:${id}`
}
