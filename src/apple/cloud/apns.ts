import { setTimeout as delay } from 'node:timers/promises'
import type { Push, PushAnswer } from './apns-push.ts'
import { CertificateRefused, openApnsSession, type ApnsOptions } from './apns-connection.ts'
import type { ApnsSession } from './apns-session.ts'

export type { Push, PushAnswer } from './apns-push.ts'
export type { ApnsOptions } from './apns-connection.ts'
export { pushDisposition, type PushDisposition } from './push-disposition.ts'

/** A sender for one push certificate. */
export interface ApnsClient {
  /** Sends a push, or waits for its turn to. Never rejects: trouble on the way is the answer `unreachable`. */
  send(push: Push): Promise<PushAnswer>
  /** Answers what still waits with `unreachable`, lets what is in flight finish, then closes. */
  close(): Promise<void>
}

/**
 * Speaks to APNs (protocol: Apple, "Sending notification requests to APNs"; HTTP/2: RFC 9113) with a client
 * certificate, over one long-lived session that opens with the first push and is replaced when it ends. As many pushes
 * are in flight as the peer allows, at most 1 000; the others wait in order. A push that gets no answer is tried three
 * times in all; one that a GOAWAY left untouched (RFC 9113, 6.8) is not counted as tried. Nothing here is remembered
 * across processes, so any number of them may send for one certificate.
 */
export function connectApns(options: ApnsOptions): ApnsClient {
  return new Sender(options)
}

const MAX_TRIES = 3
const MAX_FRUITLESS_SESSIONS = 3
const FIRST_PAUSE_MS = 100

interface Waiting {
  push: Push
  tries: number
  resolve: (answer: PushAnswer) => void
}

class Sender implements ApnsClient {
  readonly #options: ApnsOptions
  readonly #queue = new Set<Waiting>()
  readonly #live = new Set<ApnsSession>()
  readonly #closing = new AbortController()
  #session: ApnsSession | undefined
  #opening: Promise<void> | undefined
  #unanswered = 0
  // Sessions in a row that failed to open or ended without a single answer, since something waits for one.
  #fruitless = 0

  constructor(options: ApnsOptions) {
    this.#options = options
  }

  send(push: Push): Promise<PushAnswer> {
    if (this.#unanswered === 0) this.#fruitless = 0
    this.#unanswered += 1
    return new Promise<PushAnswer>((resolve) => this.#enqueue({ push, tries: 0, resolve })).finally(() => {
      this.#unanswered -= 1
    })
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#answerAll(closed)
    await this.#opening
    for (const session of this.#live) session.retire()
    await Promise.all([...this.#live].map((session) => session.ended))
  }

  #enqueue(waiting: Waiting): void {
    if (this.#closing.signal.aborted) return waiting.resolve(closed)
    this.#queue.add(waiting)
    this.#pump()
  }

  #pump(): void {
    if (this.#queue.size === 0 || this.#opening) return
    if (!this.#session?.usable) {
      this.#opening = this.#reopen().finally(() => {
        this.#opening = undefined
        this.#pump()
      })
      return
    }
    for (const waiting of this.#queue) {
      if (!this.#session.hasRoom) return
      this.#queue.delete(waiting)
      void this.#try(this.#session, waiting)
    }
  }

  async #try(session: ApnsSession, waiting: Waiting): Promise<void> {
    const exchange = await session.exchange(waiting.push)
    if ('answer' in exchange) {
      this.#fruitless = 0
      waiting.resolve(exchange.answer)
    } else if (!exchange.untouched && ++waiting.tries >= MAX_TRIES) waiting.resolve(unreachable(exchange.detail))
    else this.#enqueue(waiting)
    this.#pump()
  }

  async #reopen(): Promise<void> {
    let failure = this.#bury()
    while (this.#queue.size > 0 && !this.#session) {
      if (this.#fruitless >= MAX_FRUITLESS_SESSIONS) return this.#giveUp(failure)
      await this.#pause()
      failure = await this.#open()
    }
  }

  // Without this count a peer that greets every session with GOAWAY would be asked again for ever.
  #bury(): string {
    const session = this.#session
    this.#session = undefined
    if (session?.verdict) this.#answerAll(session.verdict)
    if (session?.answered === 0) this.#fruitless += 1
    return session?.failure ?? 'connection closed'
  }

  async #open(): Promise<string> {
    try {
      const session = await openApnsSession(this.#options, this.#closing.signal)
      this.#session = session
      this.#live.add(session)
      void session.ended.then(() => this.#live.delete(session))
      return ''
    } catch (error) {
      this.#fruitless += 1
      if (error instanceof CertificateRefused) this.#answerAll(error.verdict)
      return error instanceof Error ? error.message : 'connection failed'
    }
  }

  async #pause(): Promise<void> {
    if (this.#fruitless === 0) return
    // Jitter, so that many processes do not come back in step.
    const pauseMs = FIRST_PAUSE_MS * 2 ** (this.#fruitless - 1) * (0.5 + Math.random())
    await delay(pauseMs, undefined, { signal: this.#closing.signal }).catch(() => undefined)
  }

  #giveUp(failure: string): void {
    this.#fruitless = 0
    this.#answerAll(unreachable(failure))
  }

  #answerAll(answer: PushAnswer): void {
    for (const waiting of this.#queue) waiting.resolve(answer)
    this.#queue.clear()
  }
}

function unreachable(detail: string): PushAnswer {
  return { outcome: 'unreachable', detail }
}

const closed = unreachable('the client is closed')
