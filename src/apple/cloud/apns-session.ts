import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import { converse, type Reply } from './apns-stream.ts'
import { pushBody, pushHeaders, readPushAnswer, readReason, type Push, type PushAnswer } from './apns-push.ts'
import { pingWhenIdle } from './http2-keep-alive.ts'
import { certificateAlert } from './tls-alert.ts'

/** An answer, or why there is none. `untouched`: the peer promised that it did not look at the request. */
export type Exchange = { answer: PushAnswer } | { untouched: boolean; detail: string }

const IDLE_MS = 60_000
const MAX_STREAMS = 1_000

/** One connection to APNs, from its settings to its GOAWAY. */
export class ApnsSession {
  /** How many pushes this session got an answer for. */
  answered = 0
  /** Set when APNs refused the certificate, by GOAWAY or by a TLS alert: the answer for every push that waits. */
  verdict: PushAnswer | undefined
  /** Why the connection failed, if it did. */
  failure: string | undefined
  /** Resolves when the connection is gone. */
  readonly ended: Promise<void>
  readonly #http2: ClientHttp2Session
  readonly #socket: TLSSocket
  readonly #timeoutMs: number
  readonly #touch: () => void
  #inFlight = 0
  #limit = 1
  #goneAway = false
  #lastStreamId = 0

  constructor(http2: ClientHttp2Session, socket: TLSSocket, timeoutMs: number) {
    this.#http2 = http2
    this.#socket = socket
    this.#timeoutMs = timeoutMs
    this.#touch = pingWhenIdle(http2, IDLE_MS, timeoutMs, () => socket.destroy(new Error('no answer to PING')))
    this.ended = new Promise((resolve) => http2.once('close', resolve))
    http2.on('error', (error) => this.#fail(error))
    // In TLS 1.3 the server judges our certificate after our side of the handshake is over. Node's session then waits for
    // the socket to close, and the socket for the session: without this an alert looks like an APNs that is silent.
    socket.on('error', (error) => {
      this.#fail(error)
      socket.destroy()
    })
    http2.on('goaway', (_code, lastStreamId, debugData) => this.#goAway(lastStreamId, debugData))
    http2.on('remoteSettings', (settings) => {
      // A limit of zero must not leave the queue waiting for ever: one push then runs into its timeout.
      this.#limit = Math.max(1, Math.min(settings.maxConcurrentStreams ?? MAX_STREAMS, MAX_STREAMS))
    })
  }

  /** False once no push may start here: after GOAWAY, failure or `retire`. */
  get usable(): boolean {
    return !this.#http2.closed && !this.#http2.destroyed
  }

  get hasRoom(): boolean {
    return this.usable && this.#inFlight < this.#limit
  }

  /** Sends one push and waits for what becomes of it. Never rejects. */
  async exchange(push: Push): Promise<Exchange> {
    const answeredBefore = this.answered
    this.#inFlight += 1
    this.#touch()
    try {
      const stream = this.#http2.request(pushHeaders(push))
      const reply = await converse(stream, pushBody(push), this.#timeoutMs)
      return this.#judge(stream, reply, answeredBefore)
    } catch (error) {
      return { untouched: false, detail: error instanceof Error ? error.message : 'request failed' }
    } finally {
      this.#inFlight -= 1
      this.#leaveWhenDone()
    }
  }

  /** Starts no more pushes, lets those in flight finish, then closes. */
  retire(): void {
    this.#http2.close()
    this.#leaveWhenDone()
  }

  #judge(stream: ClientHttp2Stream, reply: Reply, answeredBefore: number): Exchange {
    if (reply.headers) {
      this.answered += 1
      return { answer: readPushAnswer(reply.headers, reply.body) }
    }
    if (this.verdict) return { answer: this.verdict }
    // A stream without an id was never sent.
    if (this.#goneAway && (stream.id ?? Infinity) > this.#lastStreamId) return { untouched: true, detail: 'GOAWAY' }
    // Silence on one stream while others are answered is that stream's trouble; silence on all is the connection's.
    if (stream.id === undefined || (reply.timedOut && this.answered === answeredBefore)) this.retire()
    return { untouched: false, detail: this.failure ?? reply.failure }
  }

  // Node's own graceful end waits without limit for the peer to take its leave, and a lost peer never does.
  #leaveWhenDone(): void {
    if (!this.usable && this.#inFlight === 0) setImmediate(() => this.#socket.destroy())
  }

  #fail(error: Error): void {
    const alert = certificateAlert(error)
    const reason = alert === undefined ? undefined : `TLS alert ${alert}`
    // Before the server has proven itself, anybody on the way could have said so; and a verdict stops a fleet's pushes.
    if (reason !== undefined && this.#socket.authorized) this.verdict ??= { outcome: 'refused', status: 403, reason }
    this.failure ??= reason ?? error.message
  }

  #goAway(lastStreamId: number, debugData: Buffer | undefined): void {
    this.#goneAway = true
    this.#lastStreamId = lastStreamId
    const { reason } = readReason(debugData?.toString('utf8') ?? '')
    if (reason?.startsWith('BadCertificate')) this.verdict = { outcome: 'refused', status: 403, reason }
    if (reason !== undefined) this.failure ??= `GOAWAY: ${reason.slice(0, 64)}`
    this.#http2.close()
    this.#leaveWhenDone()
  }
}
