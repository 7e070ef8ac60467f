import { randomBytes } from 'node:crypto'
import type { EncodableDict } from '../apple/wire/plist-writer.ts'
import type { Answer } from './answer.ts'
import type { ApnsListener } from './apns-listener.ts'
import type { Behaviour } from './behaviour.ts'
import { adoptProfile, checkIn, freshSecrets, renew, sayCheckOut, updateToken } from './check-in.ts'
import { commandIn, converse, type Conversant, type HandedOut } from './conversation.ts'
import { openLink, signatureOf, type DeviceLink, type LinkOptions } from './device-link.ts'
import { forgetManagement, wipedState, type DeviceMemory, type Executed, type Phase } from './device-memory.ts'
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

/** A simulated device. It comes when it is pushed; the methods are for tests and demos that want more. */
export class SimulatedDevice implements Conversant {
  readonly memory: DeviceMemory
  readonly link: DeviceLink
  /** Reports that the server confirmed, in their order. */
  readonly history: Executed[] = []
  readonly pushes = { received: 0, wrongMagic: 0 }
  behaviour: Behaviour
  readonly #o: DeviceOptions
  readonly #stopping = new AbortController()
  readonly #listeners = new Set<(executed: Executed) => void>()
  readonly #troubleListeners = new Set<(error: unknown) => void>()
  readonly #turns = createTurns()
  #called = false

  constructor(memory: DeviceMemory, o: DeviceOptions) {
    this.memory = memory
    this.#o = o
    this.behaviour = o.behaviour ?? 'answers'
    this.link = openLink(memory, o, () => this.behaviour !== 'offline')
  }

  get hardware() {
    return this.memory.hardware
  }

  get state() {
    return this.memory.state
  }

  get phase(): Phase {
    return this.memory.phase
  }

  get signal(): AbortSignal {
    return this.#stopping.signal
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
    return this.#turns.take(async () => (this.phase === 'enrolled' ? converse(this, always) : []))
  }

  /** Says Idle once, and gives the command that it is handed without carrying it out. */
  async idle(): Promise<HandedOut | undefined> {
    return commandIn(await this.send(idleMessage(this.memory), REPORT_TYPE))
  }

  /** Reports once on a command of the caller's choice, and gives the next one. */
  async report(
    commandUuid: string, status: Answer['status'], fields: EncodableDict = {},
  ): Promise<HandedOut | undefined> {
    return commandIn(await this.send(reportMessage(this.memory, commandUuid, { status, fields }), REPORT_TYPE))
  }

  /** Signs and sends these very bytes, once. */
  send(body: Buffer, contentType: string): Promise<HttpAnswer> {
    return this.link.put(body, contentType)
  }

  /** The header Mdm-Signature for a body. */
  signature(body: Uint8Array): string {
    return signatureOf(body, this.memory.enrollment.identity)
  }

  /** Begins the enrollment and, from then on, hears pushes. Throws EnrollmentRefused. */
  async checkIn(): Promise<void> {
    await checkIn(this.memory, this.link)
    await this.listen()
  }

  /** A later TokenUpdate, without the UnlockToken unless asked for; with `newToken` under another device token. */
  async tokenUpdate(o: { newToken?: boolean; unlockToken?: boolean } = {}): Promise<void> {
    if (o.newToken) await this.#replaceToken()
    await updateToken(this.memory, this.link, { unlockToken: o.unlockToken ?? false })
    await this.listen()
  }

  /**
   * Enrolls again under the same identity, as after a restore: nothing is owed, and token, magic and UnlockToken
   * are new.
   */
  async reauthenticate(): Promise<void> {
    const { enrollment } = this.memory
    delete enrollment.pendingReport
    await this.#replaceToken()
    Object.assign(enrollment, freshSecrets(enrollment.profile))
    await this.checkIn()
  }

  /**
   * Gets a new identity with the old one; `announce` (true) also says Authenticate and TokenUpdate with it, as iOS
   * does.
   */
  async renewIdentity({ announce = true }: { announce?: boolean } = {}): Promise<void> {
    await renew(this.memory, this.link)
    if (announce) await this.checkIn()
  }

  /** The person removes the enrollment profile. */
  checkOut(): Promise<void> {
    return this.suffer('unenroll')
  }

  /** Changes the behaviour. Offline, pushes wait at the stand-in; online again, the device hears the newest at once. */
  async behave(behaviour: Behaviour): Promise<void> {
    const before = this.behaviour
    this.behaviour = behaviour
    if (behaviour === 'offline') return this.#o.apns?.unlisten(this.memory.enrollment.pushToken)
    if (before !== 'offline') return
    await this.listen()
    if (this.memory.enrollment.pendingReport) this.#comeSoon()
  }

  /** Somebody unlocks the device: what it put off last it now asks for by itself, as iOS does. */
  async unlock(): Promise<void> {
    if (typeof this.behaviour === 'object' && 'notNow' in this.behaviour) this.behaviour = 'answers'
    if (this.history.at(-1)?.status === 'NotNow') await this.poll()
  }

  /** Hears pushes under its token, at once the one that waits. Rejects when the stand-in does not know the token. */
  async listen(): Promise<void> {
    if (this.behaviour === 'offline') return
    await this.#o.apns?.listen(this.memory.enrollment.pushToken, (pushMagic) => this.#hear(pushMagic))
  }

  /** Ends the simulation of this device; the server still thinks it is there. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.link.close()
    await this.settled()
    await this.#o.apns?.unlisten(this.memory.enrollment.pushToken)
  }

  now(): Date {
    return this.#o.now?.() ?? new Date()
  }

  random(): number {
    return (this.#o.random ?? Math.random)()
  }

  confirmed(executed: Executed): void {
    this.history.push(executed)
    for (const listener of this.#listeners) listener(executed)
  }

  updateEnrollment(profileXml: Buffer): Promise<void> {
    return adoptProfile(this.memory, this.link, profileXml, this.now())
  }

  async suffer(what: 'erase' | 'unenroll' | 'power_off' | 'removed_by_server'): Promise<void> {
    if (what === 'power_off') return this.behave('offline')
    if (what === 'unenroll') await sayCheckOut(this.memory, this.link)
    this.memory.phase = what === 'erase' ? 'erased' : 'unenrolled'
    if (what === 'erase') this.memory.state = wipedState(this.memory)
    else forgetManagement(this.memory)
    await this.#o.apns?.unregister(this.memory.enrollment.pushToken)
  }

  async #replaceToken(): Promise<void> {
    const { enrollment } = this.memory
    await this.#o.apns?.unlisten(enrollment.pushToken)
    enrollment.pushToken = (await this.#o.apns?.register(enrollment.profile.topic)) ?? randomBytes(32)
  }

  #hear(pushMagic: string): void {
    this.pushes.received += 1
    // Another enrollment's magic: iOS ignores the push without a word.
    if (pushMagic !== this.memory.enrollment.pushMagic) this.pushes.wrongMagic += 1
    else if (this.behaviour !== 'ignores_pushes') this.#comeSoon()
  }

  /** Any number of calls before the conversation begins make one; a call during it makes another. */
  #comeSoon(): void {
    if (this.#called) return
    this.#called = true
    const come = this.#turns.take(async () => {
      this.#called = false
      if (this.phase === 'enrolled' && !this.signal.aborted) await converse(this)
    })
    come.catch((error: unknown) => {
      if (!this.signal.aborted) for (const listener of this.#troubleListeners) listener(error)
    })
  }
}
