import type pg from 'pg'
import { setTimeout as pause } from 'node:timers/promises'
import type { Db } from './db.ts'
import type { Log } from './log.ts'

/** Something this process does again and again until it is stopped. */
export interface Loop {
  /** Runs it now instead of at the end of its pause. */
  nudge(): void
  /** Ends the loop after the round in hand. */
  stop(): Promise<void>
}

/**
 * Repeats `round` every `pauseMs`, at once while it says that there is more. A failing round is logged and repeated; only
 * the first failure in a row is logged as such, so that a database that is away does not fill the log.
 */
export function startLoop(name: string, log: Log, pauseMs: number, round: (stopping: AbortSignal) => Promise<boolean>): Loop {
  const stopping = new AbortController()
  let waiting = new AbortController()
  let nudged = false
  let failing = false

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const more = await attempt()
      if (!more && !nudged) await sleep()
      nudged = false
    }
  }

  async function attempt(): Promise<boolean> {
    try {
      const more = await round(stopping.signal)
      failing = false
      return more
    } catch (error) {
      if (!failing) log.warn({ loop: name, reason: error instanceof Error ? error.message : String(error) }, 'background work failed; trying again')
      failing = true
      return false
    }
  }

  async function sleep(): Promise<void> {
    waiting = new AbortController()
    await pause(pauseMs, undefined, { signal: AbortSignal.any([waiting.signal, stopping.signal]), ref: false }).catch(() => undefined)
  }

  const ended = run()
  return {
    nudge() {
      nudged = true
      waiting.abort()
    },
    async stop() {
      stopping.abort()
      await ended
    },
  }
}

/**
 * Listens for nudges of other processes. A nudge is never truth: while the connection is away the loops' own pauses do the
 * work, and it is opened again after a second.
 */
export function startListening(db: Db, log: Log, nudges: Record<string, () => void>): { stop(): Promise<void> } {
  let client: pg.Client | undefined
  const loop = startLoop('listen', log, 1_000, async () => {
    if (client) return false
    const opened = await db.connectListener()
    opened.on('notification', (message) => nudges[message.channel]?.())
    opened.on('error', () => undefined)
    opened.on('end', () => {
      client = undefined
    })
    try {
      for (const channel of Object.keys(nudges)) await opened.query(`listen ${channel}`)
    } catch (error) {
      void opened.end().catch(() => undefined)
      throw error
    }
    client = opened
    for (const nudge of Object.values(nudges)) nudge()
    return false
  })
  return {
    async stop() {
      await loop.stop()
      await client?.end().catch(() => undefined)
    },
  }
}
