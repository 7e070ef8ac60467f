import { decodePlist, plistDict } from '../../src/apple/wire/plist.ts'
import type { EncodableDict } from '../../src/apple/wire/plist-writer.ts'
import type { Answer } from './bramley.ts'
import { uuidOf, type RawDevice } from './raw-device.ts'

/** What was said in a conversation, in the device's order: only what was answered with 200. */
export interface Turn {
  said: 'Idle' | 'Acknowledged' | 'NotNow'
  /** The command it was about. */
  about: string | undefined
  /** The command in the answer. */
  offered: string | undefined
}

/** Says it again until somebody answers, as devices and careful scripts do. Counts what went wrong meanwhile. */
export interface Stubborn {
  /** Tries that brought no answer at all: the connection was refused or cut. */
  cut: number
  /** Answers by status that were no success, 503 apart: there should be none. */
  strange: string[]
  until(what: string, ask: () => Promise<Answer>, isDone: (answer: Answer) => boolean): Promise<Answer>
}

/** Gives up after a minute without an answer: then the service is down and not disturbed. */
export function stubborn(): Stubborn {
  const counts: Stubborn = {
    cut: 0,
    strange: [],
    async until(what, ask, isDone) {
      const end = performance.now() + 60_000
      for (;;) {
        const answer = await ask().catch(() => undefined)
        if (answer && isDone(answer)) return answer
        if (!answer) counts.cut++
        else if (answer.status !== 503) counts.strange.push(`${what}: ${answer.status} ${answer.body.toString().slice(0, 200)}`)
        if (performance.now() > end) throw new Error(`nobody answers ${what}`)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    },
  }
  return counts
}

/** One conversation from Idle to an empty answer; answers NotNow where `isBusy` says so. Adds to the transcript. */
export async function converse(device: RawDevice, counts: Stubborn, transcript: Turn[], isBusy: () => boolean): Promise<void> {
  let about: string | undefined
  let said: Turn['said'] = 'Idle'
  for (;;) {
    const message: EncodableDict = { Status: said, ...(about !== undefined && { CommandUUID: about }) }
    const { body } = await counts.until(`${said} of ${device.udid}`, () => device.report(message), ({ status }) => status === 200)
    const offered = body.length === 0 ? undefined : uuidOf(plistDict(decodePlist(body)))
    transcript.push({ said, about, offered })
    if (offered === undefined) return
    about = offered
    said = isBusy() ? 'NotNow' : 'Acknowledged'
  }
}

/**
 * What is wrong with a transcript, for a queue that came to hold these commands in this order. Each answer must offer the first
 * command that is not acknowledged and not held back by a NotNow in this conversation; a command that was not queued yet at
 * that moment may be missing, so an empty answer is no fault here.
 */
export function faultsOf(transcript: readonly Turn[], queue: readonly string[]): string[] {
  const faults: string[] = []
  const acknowledged = new Set<string>()
  let held = new Set<string>()
  for (const [index, { said, about, offered }] of transcript.entries()) {
    if (said === 'Idle') held = new Set()
    if (about !== undefined) (said === 'Acknowledged' ? acknowledged : held).add(about)
    if (offered === undefined) continue
    const expected = queue.find((uuid) => !acknowledged.has(uuid) && !held.has(uuid))
    if (offered !== expected) faults.push(`turn ${index}, ${said}: ${offered} was offered instead of ${expected ?? 'nothing'}`)
  }
  const missing = queue.filter((uuid) => !acknowledged.has(uuid))
  return [...faults, ...missing.map((uuid) => `${uuid} never came`)]
}
