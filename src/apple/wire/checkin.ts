import { z } from 'zod'
import { readChannel, type ChannelAddress } from './channel.ts'
import { readDeclarativeRequest, type DeclarativeRequest } from './declarative.ts'
import { WireError } from './error.ts'
import { decodePlist, plistDict } from './plist.ts'
import { dataOf, parseShape } from './schema.ts'
import { isMdmTopic } from './topic.ts'

// Real tokens have 32 bytes and UnlockTokens a few kilobytes; Apple promises neither.
const MAX_TOKEN = 256
const MAX_UNLOCK_TOKEN = 65_536
const MAX_BOOTSTRAP_TOKEN = 65_536
const MAX_STATUS_REPORT = 4 * 1024 * 1024

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

const setBootstrapToken = z.object({
  MessageType: z.literal('SetBootstrapToken'),
  BootstrapToken: dataOf(0, MAX_BOOTSTRAP_TOKEN).transform(unlessEmpty).optional(),
})

const getBootstrapToken = z.object({ MessageType: z.literal('GetBootstrapToken') })

const userAuthenticate = z.object({
  MessageType: z.literal('UserAuthenticate'),
  DigestResponse: z.string().max(4096).optional(),
})

const getToken = z.object({ MessageType: z.literal('GetToken'), TokenServiceType: z.string().min(1).max(255) })

const returnToService = z.object({ MessageType: z.literal('ReturnToService') })

const declarativeManagement = z.object({
  MessageType: z.literal('DeclarativeManagement'),
  Endpoint: z.string().max(1024),
  Data: dataOf(0, MAX_STATUS_REPORT).optional(),
})

/** A device begins an enrollment; device channel only. Nothing is enrolled before its TokenUpdate. */
export type Authenticate = z.infer<typeof authenticate> & { channel: ChannelAddress }
/** How to wake this channel. A missing (or empty) UnlockToken says nothing about an earlier one. */
export type TokenUpdate = z.infer<typeof tokenUpdate> & { channel: ChannelAddress }
/** The enrollment has been removed on the device; on a user channel, only that user. */
export type CheckOut = z.infer<typeof checkOut> & { channel: ChannelAddress }

/** A Mac entrusts what unlocks its volumes; without a token (or with an empty one) it asks to forget the one before. */
export type SetBootstrapToken = z.infer<typeof setBootstrapToken> & { channel: ChannelAddress }
/** The device asks for the token it entrusted. */
export type GetBootstrapToken = z.infer<typeof getBootstrapToken> & { channel: ChannelAddress }
/** A network user of a Mac logs in: is this user managed? The second one carries the digest of a password. */
export type UserAuthenticate = z.infer<typeof userAuthenticate> & { channel: ChannelAddress }
/** The device asks for a token of a service, such as `com.apple.maid` or `com.apple.watch.pairing`. */
export type GetToken = z.infer<typeof getToken> & { channel: ChannelAddress }
/** The device asks whether to erase itself and come back enrolled. */
export type ReturnToService = z.infer<typeof returnToService> & { channel: ChannelAddress }

/** Declarative management speaks through check-in: `request` is its Endpoint and Data, read. */
export interface DeclarativeManagement {
  MessageType: 'DeclarativeManagement'
  channel: ChannelAddress
  request: DeclarativeRequest
}

/** Every check-in message this server knows, told apart by `MessageType`; keys are Apple's. */
export type CheckinMessage =
  | Authenticate | TokenUpdate | CheckOut | SetBootstrapToken | GetBootstrapToken | UserAuthenticate | GetToken
  | ReturnToService | DeclarativeManagement

const message = z.discriminatedUnion('MessageType', [
  authenticate, tokenUpdate, checkOut, setBootstrapToken, getBootstrapToken, userAuthenticate, getToken, returnToService,
  declarativeManagement,
])
const KNOWN = new Set<unknown>(message.options.map((option) => option.shape.MessageType.value))

/** Which channel a message belongs to, where Apple allows it on one only. */
const CHANNEL_OF: ReadonlyMap<string, ChannelAddress['channel']> = new Map([
  ['Authenticate', 'device'], ['SetBootstrapToken', 'device'], ['GetBootstrapToken', 'device'],
  ['ReturnToService', 'device'], ['UserAuthenticate', 'user'],
])

/**
 * Reads the body of a check-in request (Apple: Check-in request and response). Keys it does not know are ignored, the
 * next OS will send them. Throws WireError: whatever `decodePlist`, `readChannel` and `readDeclarativeRequest` throw, 'message_type' for a
 * message it does not know, 'type' for a missing key or one of the wrong type, 'value' for one out of bounds, 'channel'
 * for a message on a channel it does not belong to, such as an Authenticate of a user.
 */
export function parseCheckin(body: Uint8Array): CheckinMessage {
  const dict = plistDict(decodePlist(body))
  const type = dict['MessageType']
  if (typeof type !== 'string') throw new WireError('type', 'MessageType')
  if (!KNOWN.has(type)) throw new WireError('message_type', 'unknown MessageType')
  const channel = readChannel(dict)
  if ((CHANNEL_OF.get(type) ?? channel.channel) !== channel.channel) throw new WireError('channel', 'not on this channel')
  const said = parseShape(message, dict)
  if (said.MessageType !== 'DeclarativeManagement') return { ...said, channel }
  return { MessageType: said.MessageType, channel, request: readDeclarativeRequest(said.Endpoint, said.Data) }
}

function unlessEmpty(token: Buffer): Buffer | undefined {
  return token.length > 0 ? token : undefined
}
