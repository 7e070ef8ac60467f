/** The body and headers of an answer that a fault switch asks for. `retryAfter` is in seconds. */
export interface AnswerDetails {
  reason?: string
  timestamp?: Date
  retryAfter?: number
}

/** Ways for a test to make APNs misbehave. Each holds until it is used up or ended. */
export interface ApnsFaults {
  /** The next `count` (1) pushes get this answer, whatever they hold. They are not delivered. */
  answerNext(status: number, details?: AnswerDetails, count?: number): void
  /** The next `count` (1) pushes are reset without an answer. */
  resetNext(count?: number): void
  /** The next `count` (1) pushes never get an answer. */
  swallowNext(count?: number): void
  /**
   * Every session gets GOAWAY at its n-th push; that one and those before it are answered, later ones left untouched.
   * With 0 a session is greeted by GOAWAY. The reason is 'Shutdown' unless given. Infinity ends it.
   */
  goAwayAfter(pushes: number, reason?: string): void
  /** Pushes are taken and not answered. */
  stall(): void
  /** Ends `stall` (what waits is answered now, if its sender still waits) and `refuseConnections`. */
  resume(): void
  /** The next `count` (Infinity) TCP connections are closed before TLS. */
  refuseConnections(count?: number): void
  /** Cuts every connection there is, without a word. */
  dropConnections(): void
  /** How many streams a session opened from now on may hold at once. */
  maxStreams: number
}

/** An answer to one push. */
export interface ApnsAnswer extends AnswerDetails {
  status: number
}

/** Two ways to give none. */
export type Silence = 'reset' | 'swallow'

/** The switches' positions, as the doors ask for them. */
export interface FaultState {
  next: (ApnsAnswer | Silence)[]
  goAway: { after: number; reason?: string | undefined }
  /** Whether the connection at hand is to be refused. */
  takeRefusal: () => boolean
  /** Runs `task` now, or at `resume` while stalled. */
  unlessStalled(task: () => void): void
}

/** The switches that need no connection, and where they stand. */
export function createFaults(): { switches: Omit<ApnsFaults, 'dropConnections' | 'maxStreams'>; state: FaultState } {
  let held: (() => void)[] | undefined
  let refusals = 0
  const state: FaultState = {
    next: [],
    goAway: { after: Infinity },
    takeRefusal: () => refusals > 0 && refusals-- > 0,
    unlessStalled: (task) => void (held ? held.push(task) : task()),
  }
  const plan = (count: number, what: ApnsAnswer | Silence) => {
    for (let i = 0; i < count; i += 1) state.next.push(what)
  }
  return {
    state,
    switches: {
      answerNext: (status, details = {}, count = 1) => plan(count, { status, ...details }),
      resetNext: (count = 1) => plan(count, 'reset'),
      swallowNext: (count = 1) => plan(count, 'swallow'),
      goAwayAfter: (after, reason) => void (state.goAway = { after, reason }),
      stall: () => void (held ??= []),
      refuseConnections: (count = Infinity) => void (refusals = count),
      resume() {
        refusals = 0
        const tasks = held ?? []
        held = undefined
        for (const task of tasks) task()
      },
    },
  }
}
