import type { IncomingHttpHeaders, Http2Session } from 'node:http2'
import { openAuthority, type ApnsAuthority, type CertifiedKey } from './apns-authority.ts'
import { deviceDoor } from './apns-device-door.ts'
import { createFaults, type ApnsAnswer, type ApnsFaults } from './apns-faults.ts'
import { createMailbox, type ApnsMailbox } from './apns-mailbox.ts'
import { clientCertificate, providerOf } from './apns-provider.ts'
import { pushDoor, sayGoAway } from './apns-push-door.ts'
import { isViolation, readPush } from './apns-rules.ts'
import { startApnsServer } from './apns-server.ts'
import { isOurToken, judgeToken, mintToken } from './apns-token.ts'
import { createTraffic, type ApnsTraffic, type TrafficRecorder } from './apns-traffic.ts'

/** A running stand-in for api.push.apple.com: what it saw, how it may misbehave, and the device side in-process. */
export interface ApnsStandIn extends ApnsTraffic, ApnsFaults {
  readonly host: string
  readonly port: number
  /** What pushers and simulated devices must trust. */
  readonly caPem: string
  /** A client certificate and key, PEM, with which to push to `topic` for a year, or for `days`. */
  issuePushCertificate(topic: string, days?: number): CertifiedKey
  /** A new device token, as `ApnsListener.register` gets one. */
  register(topic: string): Buffer
  /** From now on pushes to this token are answered 410, with `since` (now) as timestamp. */
  unregister(token: Buffer, since?: Date): void
  close(): Promise<void>
}

/**
 * `host` (127.0.0.1) and `port` (0: any free one) to listen on. `folder` keeps the CA, and with it certificates and
 * tokens, across restarts. `acceptAnyClient` takes any client certificate with an MDM topic. `now` is the clock.
 */
export interface ApnsStandInOptions {
  host?: string
  port?: number
  folder?: string
  acceptAnyClient?: boolean
  now?: () => Date
}

/**
 * Starts a server that plays APNs for simulated devices: real HTTP/2 over real TLS with client certificates, strict
 * about every push, and with a device side of our own on the same port (`apns-device-door.ts`). State is in memory,
 * so one process at a time plays this part; what is lost at a restart are waiting pushes and given-up tokens.
 */
export async function startApnsStandIn(options: ApnsStandInOptions = {}): Promise<ApnsStandIn> {
  const { host = '127.0.0.1', port = 0, now = () => new Date() } = options
  const authority = await openAuthority(now, options.folder)
  const parts: Parts = { authority, mailbox: createMailbox(now), traffic: createTraffic(), now }
  const { switches, state: faults } = createFaults()
  const judge = judgeWith(parts, options.acceptAnyClient ?? false)
  const push = pushDoor({ faults, judge, traffic: parts.traffic })
  const device = deviceDoor(deviceSide(parts))
  const { certificatePem: cert, keyPem: key } = authority.issueServerCertificate(host)
  const server = await startApnsServer({
    host,
    port,
    tls: { cert, key, ca: authority.caPem },
    refuses: faults.takeRefusal,
    onSession(session) {
      observe(session, parts.traffic)
      if (faults.goAway.after === 0) sayGoAway(session, 0, faults.goAway.reason)
    },
    onStream: (stream, headers) => (isDevicePath(headers) ? device : push)(stream, headers),
  })
  // Assigned, not spread: maxStreams is an accessor.
  return Object.assign(server, parts.traffic, switches, {
    host,
    caPem: authority.caPem,
    issuePushCertificate: authority.issuePushCertificate,
    register: (topic: string) => mintToken(authority.tokenSecret, topic),
    unregister: (token: Buffer, since = now()) => parts.mailbox.unregister(token.toString('hex'), since),
  })
}

interface Parts {
  authority: ApnsAuthority
  mailbox: ApnsMailbox
  traffic: TrafficRecorder
  now: () => Date
}

/** The judgement of a complete push, with its effects: a violation noted, or a push on its way to the device. */
function judgeWith({ authority, mailbox, traffic }: Parts, anyClient: boolean) {
  return (headers: IncomingHttpHeaders, body: string, session: Http2Session): ApnsAnswer => {
    const provider = providerOf(session, anyClient)
    if ('refused' in provider) return { status: 403, reason: provider.refused }
    const push = readPush(headers, body, provider.topic)
    if (isViolation(push)) {
      traffic.violated(push)
      return { status: push.status, reason: push.reason }
    }
    const ours = judgeToken(authority.tokenSecret, push.token, push.topic)
    if (ours === 'unknown') return { status: 400, reason: 'BadDeviceToken' }
    if (ours === 'other_topic') return { status: 400, reason: 'DeviceTokenNotForTopic' }
    const timestamp = mailbox.deadSince(push.token.toString('hex'))
    if (timestamp) return { status: 410, reason: 'Unregistered', timestamp }
    mailbox.put(push)
    traffic.accepted(push, provider.sha256)
    return { status: 200 }
  }
}

function deviceSide({ authority: { tokenSecret }, mailbox, now }: Parts) {
  return {
    mailbox,
    register: (topic: string) => mintToken(tokenSecret, topic).toString('hex'),
    unregister: (token: string) => mailbox.unregister(token, now()),
    knows: (token: string) => isOurToken(tokenSecret, Buffer.from(token, 'hex')),
  }
}

function observe(session: Http2Session, traffic: TrafficRecorder): void {
  if (!clientCertificate(session)) return
  traffic.counters.sessions += 1
  session.on('ping', () => (traffic.counters.pings += 1))
}

function isDevicePath(headers: IncomingHttpHeaders): boolean {
  return headers[':path']?.startsWith('/simulated/') ?? false
}
