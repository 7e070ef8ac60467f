import type { IncomingHttpHeaders, IncomingHttpStatusHeader, OutgoingHttpHeaders } from 'node:http2'

/**
 * The wake of one device: `token` and `pushMagic` as its last TokenUpdate gave them, `topic` of the push certificate,
 * `expiration` in unix seconds until which APNs keeps the push for a device that sleeps.
 */
export interface Push {
  token: Buffer
  topic: string
  pushMagic: string
  expiration: number
}

/**
 * What became of a push. `accepted` means accepted by APNs, not delivered. `timestamp` only comes with 410: since when
 * APNs holds the token dead. The status is 403 too where APNs refused our certificate before any request, by GOAWAY or
 * by a TLS alert (`reason` "TLS alert certificate_expired"). `unreachable` means that no answer came, so the push may or
 * may not have arrived.
 */
export type PushAnswer =
  | { outcome: 'accepted'; apnsId: string }
  | {
      outcome: 'refused'
      status: number
      reason?: string
      timestamp?: Date
      apnsId?: string
      retryAfterSeconds?: number
    }
  | { outcome: 'unreachable'; detail: string }

/** The request headers of an MDM push (Apple, "Sending notification requests to APNs"). */
export function pushHeaders(push: Push): OutgoingHttpHeaders {
  return {
    ':method': 'POST',
    ':path': `/3/device/${push.token.toString('hex')}`,
    'apns-topic': push.topic,
    'apns-push-type': 'mdm',
    'apns-priority': '10',
    'apns-expiration': String(push.expiration),
    'content-type': 'application/json',
  }
}

/** The whole body of an MDM push: one key, and no `aps` (Apple, "Sending push notifications to wake up devices"). */
export function pushBody(push: Push): string {
  return `{"mdm":${JSON.stringify(push.pushMagic)}}`
}

/** Reads APNs' answer. Only the status decides; everything in the body may be missing or unreadable. */
export function readPushAnswer(headers: IncomingHttpHeaders & IncomingHttpStatusHeader, body: string): PushAnswer {
  const status = headers[':status'] ?? 0
  const apnsId = single(headers['apns-id'])
  if (status === 200) return { outcome: 'accepted', apnsId: apnsId ?? '' }
  const { reason, timestamp } = readReason(body)
  const retryAfterSeconds = readSeconds(headers['retry-after'])
  return {
    outcome: 'refused',
    status,
    ...(reason !== undefined && { reason }),
    ...(timestamp !== undefined && { timestamp }),
    ...(apnsId !== undefined && { apnsId }),
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  }
}

/** The `reason` and `timestamp` of an error body or of a GOAWAY frame's debug data; empty when it is not theirs. */
export function readReason(json: string): { reason?: string; timestamp?: Date } {
  const value = parseObject(json)
  const timestamp = typeof value['timestamp'] === 'number' ? new Date(value['timestamp']) : undefined
  return {
    ...(typeof value['reason'] === 'string' && { reason: value['reason'] }),
    ...(timestamp && !Number.isNaN(timestamp.getTime()) && { timestamp }),
  }
}

function parseObject(json: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}

// Retry-After may also be a date (RFC 9110, 10.2.3). It needs a clock to be read, and APNs sends seconds.
function readSeconds(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : undefined
}
