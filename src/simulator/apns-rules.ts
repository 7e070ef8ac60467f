import type { IncomingHttpHeaders } from 'node:http2'
import type { Push } from '../apple/cloud/apns.ts'

/** A request that Apple would refuse, or that is not exactly an MDM push. `detail` is for whoever wrote the sender. */
export interface Violation {
  status: number
  reason: string
  detail: string
}

const MAX_PAYLOAD_LENGTH = 4_096
const EXPECTED_HEADERS = new Set([
  ':method', ':path', ':scheme', ':authority',
  'apns-topic', 'apns-push-type', 'apns-priority', 'apns-expiration', 'content-type',
])

/**
 * Reads a push as strictly as an MDM push can be read: method, path, headers and every byte of the body. `topic` is
 * the one of the client certificate. Statuses and reasons are Apple's ("Handling notification responses from APNs");
 * two faults which APNs overlooks have names of our own, BadContentType and UnexpectedHeader.
 */
export function readPush(headers: IncomingHttpHeaders, body: string, topic: string): Push | Violation {
  const wrong = checkRequest(headers) ?? checkHeaders(headers, topic) ?? checkBody(body)
  if (wrong) return wrong
  return {
    token: Buffer.from(tokenOf(headers), 'hex'),
    topic,
    pushMagic: pushMagicOf(body) ?? '',
    expiration: Number(headers['apns-expiration']),
  }
}

/** Tells the two results of `readPush` apart. */
export function isViolation(result: Push | Violation): result is Violation {
  return 'reason' in result
}

const tokenOf = (headers: IncomingHttpHeaders) => (headers[':path'] ?? '').slice('/3/device/'.length)

function checkRequest(headers: IncomingHttpHeaders): Violation | undefined {
  if (!headers[':path']?.startsWith('/3/device/')) return violation('BadPath', `path ${headers[':path']}`, 404)
  if (headers[':method'] !== 'POST') return violation('MethodNotAllowed', `method ${headers[':method']}`, 405)
  const token = tokenOf(headers)
  if (token === '') return violation('MissingDeviceToken', 'no token in the path')
  if (!/^([0-9a-f]{2}){1,100}$/.test(token)) return violation('BadDeviceToken', 'the token is not lower-case hex')
  return undefined
}

function checkHeaders(headers: IncomingHttpHeaders, topic: string): Violation | undefined {
  const sent = headers['apns-topic']
  if (sent === undefined) return violation('MissingTopic', 'no apns-topic')
  if (sent !== topic) return violation('BadTopic', `apns-topic ${String(sent)} is not the certificate's ${topic}`)
  const pushType = headers['apns-push-type']
  if (pushType !== 'mdm') return violation('InvalidPushType', `apns-push-type ${String(pushType)}`)
  const priority = headers['apns-priority']
  if (priority !== '10') return violation('BadPriority', `apns-priority ${String(priority)}`)
  const expiration = String(headers['apns-expiration'])
  if (!/^\d{1,12}$/.test(expiration)) return violation('BadExpirationDate', `apns-expiration ${expiration}`)
  const contentType = headers['content-type']
  if (contentType !== 'application/json') return violation('BadContentType', `content-type ${contentType}`)
  const unexpected = Object.keys(headers).find((name) => !EXPECTED_HEADERS.has(name))
  return unexpected === undefined ? undefined : violation('UnexpectedHeader', unexpected)
}

function checkBody(body: string): Violation | undefined {
  if (body === '') return violation('PayloadEmpty', 'no body')
  if (Buffer.byteLength(body) > MAX_PAYLOAD_LENGTH) return violation('PayloadTooLarge', `over 4096 bytes`, 413)
  // Apple has no reason for a payload it cannot read but this one.
  if (pushMagicOf(body) === undefined) return violation('PayloadEmpty', 'the body is not {"mdm":<PushMagic>} exactly')
  return undefined
}

function pushMagicOf(body: string): string | undefined {
  try {
    const value: unknown = JSON.parse(body)
    const pushMagic = typeof value === 'object' && value !== null && 'mdm' in value ? value.mdm : undefined
    if (typeof pushMagic !== 'string' || pushMagic === '') return undefined
    return body === JSON.stringify({ mdm: pushMagic }) ? pushMagic : undefined
  } catch {
    return undefined
  }
}

function violation(reason: string, detail: string, status = 400): Violation {
  return { status, reason, detail }
}
