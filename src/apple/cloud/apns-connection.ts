import { connect as connectHttp2 } from 'node:http2'
import { isIP, isIPv6 } from 'node:net'
import * as tls from 'node:tls'
import type { PushAnswer } from './apns-push.ts'
import { ApnsSession } from './apns-session.ts'

/**
 * Where APNs is and who we are to it. `ca` is trusted besides the public roots. `timeoutMs` (default 10 000) bounds a
 * request, the opening of a connection and the answer to a PING, each by itself.
 */
export interface ApnsOptions {
  host: string
  port: number
  ca?: string | Buffer
  certificatePem: string
  keyPem: string
  timeoutMs?: number
}

/** APNs refused our certificate while the session was opened; `verdict` is the answer for every push that waits. */
export class CertificateRefused extends Error {
  readonly verdict: PushAnswer

  constructor(verdict: PushAnswer) {
    super('the push certificate was refused')
    this.name = 'CertificateRefused'
    this.verdict = verdict
  }
}

const DEFAULT_TIMEOUT_MS = 10_000

/**
 * Opens one HTTP/2 session and waits for the peer's settings: before them the number of streams it allows is unknown,
 * and a burst would be refused. Rejects when the connection fails, stays silent, or `signal` aborts, and with
 * `CertificateRefused`.
 */
export function openApnsSession(options: ApnsOptions, signal: AbortSignal): Promise<ApnsSession> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    const socket = dial(options)
    const host = isIPv6(options.host) ? `[${options.host}]` : options.host
    const http2 = connectHttp2(`https://${host}:${options.port}`, {
      createConnection: () => socket,
      settings: { enablePush: false },
    })
    const session = new ApnsSession(http2, socket, timeoutMs)
    const silence = setTimeout(() => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
    const abort = () => socket.destroy(new Error('aborted'))
    signal.addEventListener('abort', abort, { once: true })
    http2.once('remoteSettings', () => resolve(session))
    http2.once('close', () => reject(session.verdict ? new CertificateRefused(session.verdict) : new Error(session.failure ?? 'connection closed')))
    http2.once('remoteSettings', settled).once('close', settled)

    function settled() {
      clearTimeout(silence)
      signal.removeEventListener('abort', abort)
    }
  })
}

function dial(options: ApnsOptions): tls.TLSSocket {
  const { host, port } = options
  return tls.connect({
    host,
    port,
    ALPNProtocols: ['h2'],
    secureContext: secureContextOf(options),
    ...(!isIP(host) && { servername: host }), // an address is not a server name (RFC 6066, 3)
  })
}

// Reading all public roots beside our own takes some 50 ms of CPU: once for a client, not once for a session.
const secureContexts = new WeakMap<ApnsOptions, tls.SecureContext>()

function secureContextOf(options: ApnsOptions): tls.SecureContext {
  const { ca, certificatePem: cert, keyPem: key } = options
  const known = secureContexts.get(options)
  if (known) return known
  const context = tls.createSecureContext({ cert, key, ...(ca !== undefined && { ca: [...tls.rootCertificates, ca] }) })
  secureContexts.set(options, context)
  return context
}
