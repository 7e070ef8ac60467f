import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2'
import { setTimeout as delay } from 'node:timers/promises'
import { readLines, stringsUnder, stringUnder, writeLine } from './apns-lines.ts'
import { call, openLink, openListenStream, type ApnsListenerOptions } from './apns-listener-link.ts'

export type { ApnsListenerOptions } from './apns-listener-link.ts'

/** The pushes of any number of simulated devices, over one connection to the stand-in that comes back by itself. */
export interface ApnsListener {
  /** Gets a new device token for a topic. Rejects when the stand-in is away. */
  register(topic: string): Promise<Buffer>
  /** Gives a token up for ever, as a wiped device does. */
  unregister(token: Buffer): Promise<void>
  /**
   * The device is online from now on; `onPush` gets the PushMagic of every push, at once that of one that waits.
   * Resolves when the stand-in knows. Rejects for a token it does not know or that was given up, and when the device
   * goes offline or the listener is closed before.
   */
  listen(token: Buffer, onPush: (pushMagic: string) => void): Promise<void>
  /** The device goes offline: its newest push waits. Resolves when the stand-in knows. */
  unlisten(token: Buffer): Promise<void>
  close(): Promise<void>
}

/** Connects simulated devices to a stand-in, in this process or another. Rejects when it cannot be reached at first. */
export async function connectApnsListener(options: ApnsListenerOptions): Promise<ApnsListener> {
  const listener = new Listener(options)
  await listener.open()
  return listener
}

const BATCH = 1_000
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 5_000

interface Device {
  onPush(pushMagic: string): void
  online(): void
  failed(reason: string): void
}

class Listener implements ApnsListener {
  readonly #options: ApnsListenerOptions
  readonly #devices = new Map<string, Device>()
  readonly #joining = new Set<string>()
  readonly #leaving = new Map<string, () => void>()
  readonly #closing = new AbortController()
  #link: ClientHttp2Session | undefined
  #stream: ClientHttp2Stream | undefined
  #calls: ClientHttp2Session | undefined
  #ended = Promise.resolve()
  #running: Promise<void> | undefined

  constructor(options: ApnsListenerOptions) {
    this.#options = options
  }

  async open(): Promise<void> {
    await this.#connect()
    this.#running = this.#stayConnected()
  }

  async register(topic: string): Promise<Buffer> {
    const answer = await this.#call('/simulated/register', { topic })
    return Buffer.from(stringUnder(answer, 'token') ?? '', 'hex')
  }

  async unregister(token: Buffer): Promise<void> {
    this.#forget(token.toString('hex'), 'the token was given up')
    await this.#call('/simulated/unregister', { token: token.toString('hex') })
  }

  listen(token: Buffer, onPush: (pushMagic: string) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const failed = (reason: string) => reject(new Error(reason))
      this.#devices.set(token.toString('hex'), { onPush, online: resolve, failed })
      this.#join([token.toString('hex')])
    })
  }

  unlisten(token: Buffer): Promise<void> {
    const hex = token.toString('hex')
    this.#forget(hex, 'the device went offline again')
    return new Promise((resolve) => {
      if (!this.#stream) return resolve()
      this.#leaving.set(hex, resolve)
      writeLine(this.#stream, { leave: [hex] })
    })
  }

  async close(): Promise<void> {
    this.#closing.abort()
    for (const token of this.#devices.keys()) this.#forget(token, 'the listener was closed')
    this.#link?.destroy()
    this.#calls?.destroy()
    await this.#running
  }

  #call(path: string, body: object): Promise<unknown> {
    // A session of its own: where the stand-in allows one stream, the listening one must not be in the way.
    if (!this.#calls || this.#calls.closed || this.#calls.destroyed) this.#calls = openLink(this.#options)
    return call(this.#calls, path, body)
  }

  async #stayConnected(): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS
    for (;;) {
      await this.#ended
      await delay(pauseMs, undefined, { signal: this.#closing.signal }).catch(() => undefined)
      if (this.#closing.signal.aborted) return
      const connected = await this.#connect().then(() => true, () => false)
      pauseMs = connected ? FIRST_PAUSE_MS : Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
    }
  }

  async #connect(): Promise<void> {
    const link = openLink(this.#options)
    this.#link = link
    try {
      this.#attend(await openListenStream(link))
    } catch (error) {
      link.destroy()
      throw error
    }
  }

  #attend(stream: ClientHttp2Stream): void {
    if (stream.destroyed) throw new Error('disconnected')
    this.#stream = stream
    this.#ended = new Promise((resolve) => stream.once('close', resolve)).then(() => this.#disconnected())
    readLines(stream, (line) => this.#hear(line))
    this.#join(this.#devices.keys())
  }

  #disconnected(): void {
    this.#link?.destroy()
    this.#stream = undefined
    for (const left of this.#leaving.values()) left()
    this.#leaving.clear()
  }

  /** Ends a device's listening here; says why to whoever still waits for it to begin. */
  #forget(token: string, reason: string): void {
    this.#devices.get(token)?.failed(reason)
    this.#devices.delete(token)
    this.#joining.delete(token)
  }

  /** Tokens asked for in one go travel in one line. */
  #join(tokens: Iterable<string>): void {
    if (this.#joining.size === 0) queueMicrotask(() => this.#flush())
    for (const token of tokens) this.#joining.add(token)
  }

  #flush(): void {
    const tokens = [...this.#joining]
    this.#joining.clear()
    if (!this.#stream) return
    for (let i = 0; i < tokens.length; i += BATCH) writeLine(this.#stream, { listen: tokens.slice(i, i + BATCH) })
  }

  #hear(line: unknown): void {
    const token = stringUnder(line, 'token')
    if (token !== undefined) this.#devices.get(token)?.onPush(stringUnder(line, 'mdm') ?? '')
    for (const online of stringsUnder(line, 'listening')) this.#devices.get(online)?.online()
    for (const refused of stringsUnder(line, 'refused')) this.#forget(refused, 'the stand-in does not know this token')
    for (const left of stringsUnder(line, 'left')) {
      this.#leaving.get(left)?.()
      this.#leaving.delete(left)
    }
  }
}
