import { z } from 'zod'
import { readChannel, type ChannelAddress } from './channel.ts'
import { WireError } from './error.ts'
import { decodePlist, plistDict } from './plist.ts'
import { dataOf, parseShape } from './schema.ts'
import { isMdmTopic } from './topic.ts'

// Real tokens have 32 bytes and UnlockTokens a few kilobytes; Apple promises neither.
const MAX_TOKEN = 256
const MAX_UNLOCK_TOKEN = 65_536

const text = z.string().max(1024).optional()
const topic = z.string().refine(isMdmTopic)

const authenticate = z.object({
  MessageType: z.literal('Authenticate'),
  Topic: topic,
  BuildVersion: text, DeviceName: text, IMEI: text, MEID: text, Model: text, ModelName: text, OSVersion: text,
  ProductName: text, SerialNumber: text,
})

const tokenUpdate = z.object({
  MessageType: z.literal('TokenUpdate'),
  Topic: topic,
  Token: dataOf(1, MAX_TOKEN),
  PushMagic: z.string().regex(/^\P{Cc}{1,256}$/u),
  UnlockToken: dataOf(0, MAX_UNLOCK_TOKEN).transform(unlessEmpty).optional(),
  AwaitingConfiguration: z.boolean().optional(),
  NotOnConsole: z.boolean().optional(),
})

const checkOut = z.object({ MessageType: z.literal('CheckOut'), Topic: topic })

/** A device begins an enrollment; device channel only. Nothing is enrolled before its TokenUpdate. */
export type Authenticate = z.infer<typeof authenticate> & { channel: ChannelAddress }
/** How to wake this channel. A missing (or empty) UnlockToken says nothing about an earlier one. */
export type TokenUpdate = z.infer<typeof tokenUpdate> & { channel: ChannelAddress }
/** The enrollment has been removed on the device; on a user channel, only that user. */
export type CheckOut = z.infer<typeof checkOut> & { channel: ChannelAddress }

/** Every check-in message this server knows, told apart by `MessageType`; keys are Apple's. */
export type CheckinMessage = Authenticate | TokenUpdate | CheckOut

const message = z.discriminatedUnion('MessageType', [authenticate, tokenUpdate, checkOut])
const KNOWN = new Set<unknown>(message.options.map((option) => option.shape.MessageType.value))

/**
 * Reads the body of a check-in request (Apple: Check-in request and response). Keys it does not know are ignored, the
 * next OS will send them. Throws WireError: whatever `decodePlist` and `readChannel` throw, 'message_type' for a
 * message it does not know, 'type' for a missing key or one of the wrong type, 'value' for one out of bounds, 'channel'
 * for an Authenticate of a user.
 */
export function parseCheckin(body: Uint8Array): CheckinMessage {
  const dict = plistDict(decodePlist(body))
  const type = dict['MessageType']
  if (typeof type !== 'string') throw new WireError('type', 'MessageType')
  if (!KNOWN.has(type)) throw new WireError('message_type', 'unknown MessageType')
  const channel = readChannel(dict)
  if (type === 'Authenticate' && channel.channel === 'user') throw new WireError('channel', 'a user authenticates')
  return { ...parseShape(message, dict), channel }
}

function unlessEmpty(token: Buffer): Buffer | undefined {
  return token.length > 0 ? token : undefined
}
