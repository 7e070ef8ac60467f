import { randomBytes } from 'node:crypto'
import type { Behaviour } from './behaviour.ts'
import { adoptProfile, checkIn, freshMagic, freshSecrets, renew, sayCheckOut, updateToken } from './check-in.ts'
import type { Fate } from './conversation.ts'
import { openLink, signatureOf, type DeviceLink } from './device-link.ts'
import { forgetManagement, wipedState, type DeviceMemory, type DeviceUser, type Phase } from './device-memory.ts'
import { entrustsBootstrapToken, hasUserChannels } from './enrollment-terms.ts'
import { LiveChannel, type DeviceOptions } from './live-channel.ts'
import { createTurns } from './turns.ts'
import { askBack, entrust, mayManage } from './user-check-in.ts'
import { UserSession, type Host } from './user-session.ts'

export type { DeviceOptions } from './live-channel.ts'

const BOOTSTRAP_TOKEN_BYTES = 64

/** A simulated device. It comes when it is pushed; the methods are for tests and demos that want more. */
export class SimulatedDevice extends LiveChannel implements Host {
  readonly memory: DeviceMemory
  readonly link: DeviceLink
  readonly #stopping = new AbortController()
  readonly #sessions = new Map<DeviceUser, UserSession>()
  /** One person after the other. */
  readonly #logins = createTurns()

  constructor(memory: DeviceMemory, o: DeviceOptions) {
    super(o)
    this.memory = memory
    this.link = openLink(memory, o, () => this.isReachable)
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

  get user(): undefined {
    return undefined
  }

  get signal(): AbortSignal {
    return this.#stopping.signal
  }

  get isReachable(): boolean {
    return this.behaviour !== 'offline'
  }

  protected get alive(): boolean {
    return this.phase === 'enrolled'
  }

  /** Those whom the server was told of, logged in or not. */
  get users(): UserSession[] {
    return this.memory.enrollment.users.map((channel) => {
      const session = this.#sessions.get(channel.user) ?? new UserSession(this, channel, this.o)
      this.#sessions.set(channel.user, session)
      return session
    })
  }

  /** The header Mdm-Signature for a body. */
  signature(body: Uint8Array): string {
    return signatureOf(body, this.memory.enrollment.identity)
  }

  /**
   * Begins the enrollment and, from then on, hears pushes; a Mac then entrusts its bootstrap token, and whoever is logged in
   * is announced again. Throws EnrollmentRefused.
   */
  async checkIn(): Promise<void> {
    await checkIn(this.memory, this.link)
    await this.listen()
    if (entrustsBootstrapToken(this.memory)) await this.entrustBootstrapToken()
    for (const session of this.users) if (session.user.loggedIn) await session.logIn()
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
    for (const channel of enrollment.users) delete channel.pendingReport
    await this.#replaceToken()
    Object.assign(enrollment, freshSecrets(this.memory, enrollment.profile))
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

  /**
   * A person logs in. On a Shared iPad whoever was there is logged out; about a network user a Mac asks first. Gives the
   * user's session, undefined when the server does not manage this user or no user at all. Throws EnrollmentRefused.
   */
  logIn(user: DeviceUser): Promise<UserSession | undefined> {
    return this.#logins.take(() => this.#letIn(user))
  }

  logOutEverybody(): Promise<void> {
    return this.#logins.take(() => this.#clear())
  }

  /** Entrusts the server with a bootstrap token, its own or this one. Throws EnrollmentRefused. */
  entrustBootstrapToken(token = this.memory.enrollment.bootstrapToken ?? randomBytes(BOOTSTRAP_TOKEN_BYTES)): Promise<void> {
    return entrust(this.memory, this.link, token)
  }

  /** Asks the server to forget it. Throws EnrollmentRefused. */
  withdrawBootstrapToken(): Promise<void> {
    return entrust(this.memory, this.link, undefined)
  }

  /** The token that the server keeps, undefined when it has none. Throws EnrollmentRefused. */
  askForBootstrapToken(): Promise<Buffer | undefined> {
    return askBack(this.memory, this.link)
  }

  /** The person removes the enrollment profile. */
  checkOut(): Promise<void> {
    return this.suffer('unenroll')
  }

  override async behave(behaviour: Behaviour): Promise<void> {
    const before = this.behaviour
    await super.behave(behaviour)
    if (behaviour === 'offline') await Promise.all(this.users.map((session) => session.hush()))
    else if (before === 'offline') await Promise.all(this.users.map((session) => session.comeBack()))
  }

  /** Ends the simulation of this device; the server still thinks it is there. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.link.close()
    await this.#logins.settled()
    for (const channel of [this, ...this.users]) {
      await channel.settled()
      await channel.hush()
    }
  }

  updateEnrollment(profileXml: Buffer): Promise<void> {
    return adoptProfile(this.memory, this.link, profileXml, this.now())
  }

  async suffer(what: Fate): Promise<void> {
    if (what === 'power_off') return this.behave('offline')
    if (what === 'log_out') return this.logOutEverybody()
    if (what === 'unenroll') await sayCheckOut(this.memory, this.link)
    this.memory.phase = what === 'erase' ? 'erased' : 'unenrolled'
    for (const session of this.users) await session.forget()
    if (what === 'erase') this.memory.state = wipedState(this.memory)
    else forgetManagement(this.memory)
    await this.o.apns?.unregister(this.memory.enrollment.pushToken)
  }

  async #letIn(user: DeviceUser): Promise<UserSession | undefined> {
    if (!hasUserChannels(this.memory)) return undefined
    if (this.state.sharedIpad) await this.#clear()
    if (user.network && !(await mayManage(this.memory, this.link, user))) return undefined
    const session = this.users.find((known) => known.user.user.shortName === user.shortName) ?? (await this.#newUser(user))
    if (await session.logIn()) return session
    await session.forget()
    return undefined
  }

  async #clear(): Promise<void> {
    for (const session of this.users) if (session.user.loggedIn) await session.logOut()
  }

  async #newUser(user: DeviceUser): Promise<UserSession> {
    const channel = {
      user, loggedIn: false, profiles: [], pushToken: await this.#freshToken(), pushMagic: freshMagic(),
      ...(this.state.awaitUserConfiguration && { awaitingConfiguration: true }),
    }
    this.memory.enrollment.users.push(channel)
    const session = new UserSession(this, channel, this.o)
    this.#sessions.set(user, session)
    return session
  }

  async #replaceToken(): Promise<void> {
    const { enrollment } = this.memory
    await this.o.apns?.unlisten(enrollment.pushToken)
    enrollment.pushToken = await this.#freshToken()
  }

  async #freshToken(): Promise<Buffer> {
    return (await this.o.apns?.register(this.memory.enrollment.profile.topic)) ?? randomBytes(32)
  }
}
