import cluster from 'node:cluster'
import { setTimeout as pause } from 'node:timers/promises'
import type { Log } from './base/log.ts'
import { talkOver, type Answers, type Talk } from './crew-talk.ts'

/** One place in the crew: a worker process, and another one whenever it has ended. */
export interface Post {
  /** The first worker serves; rejects with its reason when it ended instead. */
  ready: Promise<void>
  /** The line to the worker that is there now. */
  talk(): Talk
  kill(signal: NodeJS.Signals): void
  /** No other one any more. Resolves when the present one has ended. */
  close(): Promise<void>
}

interface Member {
  talk: Talk
  ready: Promise<void>
  /** Rejects never. */
  exited: Promise<{ code: number | null; signal: string | null }>
  kill(signal: NodeJS.Signals): void
  pid: number | undefined
}

/** The first end may be chance; whoever ends again and again must not eat the machine. */
const PAUSES_MS = [0, 1_000, 2_000, 5_000, 10_000]
/** Who has served for so long begins again at the first pause. */
const SETTLED_MS = 60_000

/** Fills a place for good, until `close`. `answers` is what its workers may ask. */
export function keepPost(number: number, log: Log, answers: Answers): Post {
  const closing = new AbortController()
  let member = muster(answers)
  const { ready } = member
  const kept = keep()

  async function keep(): Promise<void> {
    for (let ends = 0; ; ) {
      const since = performance.now()
      const { code, signal } = await member.exited
      if (closing.signal.aborted) return
      ends = performance.now() - since > SETTLED_MS ? 1 : ends + 1
      const pauseMs = PAUSES_MS[Math.min(ends, PAUSES_MS.length) - 1] ?? 0
      log.error({ worker: number, pid: member.pid, code, signal, reason: await reasonOf(member), pauseMs }, 'a worker ended; starting another')
      await pause(pauseMs, undefined, { signal: closing.signal }).catch(() => undefined)
      if (closing.signal.aborted) return
      member = muster(answers)
    }
  }

  return {
    ready,
    talk: () => member.talk,
    kill: (signal) => member.kill(signal),
    async close() {
      closing.abort()
      await kept
    },
  }
}

function muster(answers: Answers): Member {
  const worker = cluster.fork()
  const send = (message: object) => {
    // One that has just ended cannot be told anything; whoever waits hears of its end.
    if (worker.isConnected()) worker.send(message, () => undefined)
  }
  let reason: string | undefined
  let serves: () => void = () => undefined
  const talk = talkOver({ send, onMessage: (listener) => void worker.on('message', listener) }, {
    ...answers,
    ready: () => serves(),
    failed: (text: string) => void (reason = text),
  })
  worker.on('error', () => undefined)
  const exited: Member['exited'] = new Promise((resolve) => worker.once('exit', (code, signal) => {
    talk.hangUp()
    resolve({ code, signal })
  }))
  const ready = new Promise<void>((resolve, reject) => {
    serves = resolve
    void exited.then(({ code, signal }) => reject(new Error(reason ?? `a worker ended at its start (${signal ?? code})`)))
  })
  ready.catch(() => undefined)
  return { talk, ready, exited, pid: worker.process.pid, kill: (signal) => void worker.process.kill(signal) }
}

/** Why one ended before it served; undefined when it had served. */
function reasonOf({ ready }: Member): Promise<string | undefined> {
  return ready.then(() => undefined, (error: Error) => error.message)
}
