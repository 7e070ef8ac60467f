import type { Fate } from './conversation.ts'
import type { DeviceLink } from './device-link.ts'
import type { DeviceMemory, UserChannel } from './device-memory.ts'
import { LiveChannel, type DeviceOptions } from './live-channel.ts'
import { announceUser, sayUserCheckOut } from './user-check-in.ts'

/** The device that its users share. */
export interface Host {
  readonly memory: DeviceMemory
  readonly link: DeviceLink
  readonly signal: AbortSignal
  readonly isReachable: boolean
  updateEnrollment(profileXml: Buffer): Promise<void>
  suffer(what: Fate): Promise<void>
}

/**
 * What one user of a device has with the server: a channel with a token, a queue and a behaviour of its own. It speaks with the
 * device's identity, and only while that user is logged in.
 */
export class UserSession extends LiveChannel {
  readonly memory: DeviceMemory
  readonly link: DeviceLink
  readonly user: UserChannel
  readonly #host: Host

  constructor(host: Host, user: UserChannel, o: DeviceOptions) {
    // Whether the device can be reached is the device's; in everything else a new user behaves as it does.
    super({ ...o, behaviour: o.behaviour === 'offline' ? 'answers' : o.behaviour })
    this.#host = host
    this.memory = host.memory
    this.link = host.link
    this.user = user
  }

  get signal(): AbortSignal {
    return this.#host.signal
  }

  protected get alive(): boolean {
    return this.memory.phase === 'enrolled' && this.user.loggedIn && this.#host.isReachable
  }

  /**
   * The user logs in and the server hears how to wake them. False: it does not manage this user until the next login. Throws
   * EnrollmentRefused.
   */
  async logIn(): Promise<boolean> {
    let managed = false
    this.user.loggedIn = true
    try {
      managed = await announceUser(this.memory, this.link, this.user)
    } finally {
      this.user.loggedIn = managed
    }
    if (managed) await this.comeBack()
    return managed
  }

  /** Goes on where it was; tells the server a new token when the stand-in forgot the old one. */
  async resume(): Promise<void> {
    const known = await this.listen().then(() => true, () => false)
    if (known) return
    this.user.pushToken = (await this.o.apns?.register(this.memory.enrollment.profile.topic)) ?? this.user.pushToken
    await this.logIn()
  }

  /** The user leaves: the channel is silent until they are back. */
  async logOut(): Promise<void> {
    this.user.loggedIn = false
    await this.hush()
  }

  /** The account is taken off the device, and the server hears of that. */
  async checkOut(): Promise<void> {
    await sayUserCheckOut(this.memory, this.link, this.user.user)
    await this.forget()
  }

  /** The same without a word to the server. */
  async forget(): Promise<void> {
    this.user.loggedIn = false
    const { enrollment } = this.memory
    enrollment.users = enrollment.users.filter((other) => other !== this.user)
    await this.o.apns?.unregister(this.user.pushToken)
  }

  updateEnrollment(profileXml: Buffer): Promise<void> {
    return this.#host.updateEnrollment(profileXml)
  }

  suffer(what: Fate): Promise<void> {
    return this.#host.suffer(what)
  }
}
