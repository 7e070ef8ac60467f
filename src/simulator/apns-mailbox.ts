import type { Push } from '../apple/cloud/apns.ts'

/** Takes the PushMagic of one push to a device that listens. */
export type Deliver = (token: string, pushMagic: string) => void

/** The devices' side of APNs. Tokens are lower-case hex. */
export interface ApnsMailbox {
  /** Delivers to the device if it listens, else keeps the push until it does, in place of an older one. */
  put(push: Push): void
  /** The device came online: what waits is delivered at once. A token has one listener, the newest. */
  listen(token: string, deliver: Deliver): void
  /** The device went offline. Does nothing when a newer listener took its place. */
  leave(token: string, deliver: Deliver): void
  /** The device gave its token up, for ever. */
  unregister(token: string, since: Date): void
  /** Since when the token is dead; undefined while it lives. */
  deadSince(token: string): Date | undefined
}

/**
 * Keeps pushes as APNs does: only the newest for each device, and not beyond its expiration (Apple, "Sending
 * notification requests to APNs").
 */
export function createMailbox(now: () => Date): ApnsMailbox {
  const waiting = new Map<string, Push>()
  const listeners = new Map<string, Deliver>()
  const dead = new Map<string, Date>()
  const alive = (push: Push) => push.expiration * 1_000 > now().getTime()

  return {
    put(push) {
      const token = push.token.toString('hex')
      const deliver = listeners.get(token)
      if (deliver) deliver(token, push.pushMagic)
      else if (alive(push)) waiting.set(token, push)
    },
    listen(token, deliver) {
      listeners.set(token, deliver)
      const push = waiting.get(token)
      waiting.delete(token)
      if (push && alive(push)) deliver(token, push.pushMagic)
    },
    leave(token, deliver) {
      if (listeners.get(token) === deliver) listeners.delete(token)
    },
    unregister(token, since) {
      listeners.delete(token)
      waiting.delete(token)
      dead.set(token, since)
    },
    deadSince: (token) => dead.get(token),
  }
}
