import type { EncodableDict } from '../apple/wire/plist-writer.ts'
import type { Answer } from './answer.ts'
import type { ApnsListener } from './apns-listener.ts'
import type { Behaviour } from './behaviour.ts'
import { commandIn, converse, type Conversant, type Fate, type HandedOut } from './conversation.ts'
import type { DeviceLink, LinkOptions } from './device-link.ts'
import type { Channel, DeviceMemory, Executed, UserChannel } from './device-memory.ts'
import type { HttpAnswer } from './https-client.ts'
import { idleMessage, REPORT_TYPE, reportMessage } from './messages.ts'
import { createTurns } from './turns.ts'

/** What an enrolled device needs besides its memory. Without `apns` no push ever reaches it. */
export interface DeviceOptions extends LinkOptions {
  apns?: ApnsListener | undefined
  behaviour?: Behaviour | undefined
  now?: (() => Date) | undefined
  random?: (() => number) | undefined
}

/** One channel at work: the device's own, or that of one of its users. It comes when it is pushed. */
export abstract class LiveChannel implements Conversant {
  /** Reports that the server confirmed, in their order. */
  readonly history: Executed[] = []
  readonly pushes = { received: 0, wrongMagic: 0 }
  behaviour: Behaviour
  abstract readonly memory: DeviceMemory
  abstract readonly link: DeviceLink
  protected readonly o: DeviceOptions
  readonly #listeners = new Set<(executed: Executed) => void>()
  readonly #troubleListeners = new Set<(error: unknown) => void>()
  readonly #turns = createTurns()
  #called = false

  constructor(o: DeviceOptions) {
    this.o = o
    this.behaviour = o.behaviour ?? 'answers'
  }

  abstract get user(): UserChannel | undefined
  abstract get signal(): AbortSignal
  /** Whether somebody is there who hears pushes and polls. */
  protected abstract get alive(): boolean
  abstract updateEnrollment(profileXml: Buffer): Promise<void>
  abstract suffer(what: Fate): Promise<void>

  /** Token, magic, and the report that is owed. */
  get channel(): Channel {
    return this.user ?? this.memory.enrollment
  }

  /** Calls `listener` for every report that the server has confirmed. Returns the function that ends it. */
  onCommand(listener: (executed: Executed) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Calls `listener` for whatever ended a conversation that a push began. Returns the function that ends it. */
  onTrouble(listener: (error: unknown) => void): () => void {
    this.#troubleListeners.add(listener)
    return () => void this.#troubleListeners.delete(listener)
  }

  /** Resolves when the server has confirmed `count` reports since the start. */
  executed(count: number): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (this.history.length < count) return
        this.#listeners.delete(look)
        resolve()
      }
      this.#listeners.add(look)
      look()
    })
  }

  /** Resolves when no conversation is going on or about to begin. */
  settled(): Promise<void> {
    return this.#turns.settled()
  }

  /** A whole conversation, as after a push; with a status every command is answered with that and not carried out. */
  poll(always?: Answer['status']): Promise<Executed[]> {
    return this.#turns.take(async () => (this.alive ? converse(this, always) : []))
  }

  /** Says Idle once, and gives the command that it is handed without carrying it out. */
  async idle(): Promise<HandedOut | undefined> {
    return commandIn(await this.send(idleMessage(this.memory, this.user?.user), REPORT_TYPE))
  }

  /** Reports once on a command of the caller's choice, and gives the next one. */
  async report(
    commandUuid: string, status: Answer['status'], fields: EncodableDict = {},
  ): Promise<HandedOut | undefined> {
    const message = reportMessage(this.memory, commandUuid, { status, fields }, this.user?.user)
    return commandIn(await this.send(message, REPORT_TYPE))
  }

  /** Signs and sends these very bytes, once. */
  send(body: Buffer, contentType: string): Promise<HttpAnswer> {
    return this.link.put(body, contentType)
  }

  /** Changes the behaviour. Offline, pushes wait at the stand-in; online again, the newest is heard at once. */
  async behave(behaviour: Behaviour): Promise<void> {
    const before = this.behaviour
    this.behaviour = behaviour
    if (behaviour === 'offline') return this.hush()
    if (before === 'offline') await this.comeBack()
  }

  /** Somebody unlocks the device: what it put off last it now asks for by itself, as iOS does. */
  async unlock(): Promise<void> {
    if (typeof this.behaviour === 'object' && 'notNow' in this.behaviour) this.behaviour = 'answers'
    if (this.history.at(-1)?.status === 'NotNow') await this.poll()
  }

  /** Hears pushes under its token, at once the one that waits. Rejects when the stand-in does not know the token. */
  async listen(): Promise<void> {
    if (this.behaviour === 'offline' || !this.alive) return
    await this.o.apns?.listen(this.channel.pushToken, (pushMagic) => this.#hear(pushMagic))
  }

  /** Hears no more pushes; they wait at the stand-in. */
  async hush(): Promise<void> {
    await this.o.apns?.unlisten(this.channel.pushToken)
  }

  /** Hears pushes again, and says what it still owes. */
  async comeBack(): Promise<void> {
    await this.listen()
    if (this.channel.pendingReport) this.#comeSoon()
  }

  now(): Date {
    return this.o.now?.() ?? new Date()
  }

  random(): number {
    return (this.o.random ?? Math.random)()
  }

  confirmed(executed: Executed): void {
    this.history.push(executed)
    for (const listener of this.#listeners) listener(executed)
  }

  #hear(pushMagic: string): void {
    this.pushes.received += 1
    // Another enrollment's magic: iOS ignores the push without a word.
    if (pushMagic !== this.channel.pushMagic) this.pushes.wrongMagic += 1
    else if (this.behaviour !== 'ignores_pushes') this.#comeSoon()
  }

  /** Any number of calls before the conversation begins make one; a call during it makes another. */
  #comeSoon(): void {
    if (this.#called) return
    this.#called = true
    const come = this.#turns.take(async () => {
      this.#called = false
      if (this.alive && !this.signal.aborted) await converse(this)
    })
    come.catch((error: unknown) => {
      if (!this.signal.aborted) for (const listener of this.#troubleListeners) listener(error)
    })
  }
}
