import type { Push } from '../apple/cloud/apns.ts'
import type { Violation } from './apns-rules.ts'

const KEPT = 10_000

/** What a stand-in has seen. `received` (accepted pushes), `provedBy` and `violations` hold the last 10 000. */
export interface ApnsTraffic {
  readonly received: readonly Push[]
  /** SHA-256 (hex) of the client certificate behind each of `received`. */
  readonly provedBy: readonly string[]
  readonly violations: readonly Pick<Violation, 'reason' | 'detail'>[]
  /** Push requests taken, whatever their answer; sessions with a client certificate; most streams in one session. */
  readonly counters: { pushes: number; sessions: number; maxOpenStreams: number; pings: number }
  /** Calls `listener` for every accepted push. Returns the function that ends it. */
  onPush(listener: (push: Push) => void): () => void
  /** Resolves when `count` push requests have come since the start, answered or not. */
  arrived(count: number): Promise<void>
}

/** The same, for the one who writes it. */
export interface TrafficRecorder extends ApnsTraffic {
  requestArrived(): void
  accepted(push: Push, provedBy: string): void
  violated(violation: Violation): void
}

/** An empty record. */
export function createTraffic(): TrafficRecorder {
  const received: Push[] = []
  const provedBy: string[] = []
  const violations: Pick<Violation, 'reason' | 'detail'>[] = []
  const counters = { pushes: 0, sessions: 0, maxOpenStreams: 0, pings: 0 }
  const listeners = new Set<(push: Push) => void>()
  const waiting = new Set<{ count: number; resolve: () => void }>()
  return {
    received,
    provedBy,
    violations,
    counters,
    onPush(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    arrived: (count) => new Promise((resolve) => {
      if (counters.pushes >= count) resolve()
      else waiting.add({ count, resolve })
    }),
    requestArrived() {
      counters.pushes += 1
      for (const waiter of waiting) {
        if (counters.pushes >= waiter.count && waiting.delete(waiter)) waiter.resolve()
      }
    },
    accepted(push, certificate) {
      keep(received, push)
      keep(provedBy, certificate)
      for (const listener of listeners) listener(push)
    },
    violated: ({ reason, detail }) => keep(violations, { reason, detail }),
  }
}

function keep<T>(list: T[], item: T): void {
  list.push(item)
  if (list.length > KEPT) list.shift()
}
