import { inWords } from './base/in-words.ts'
import { Problem, type ProblemCode } from './base/problem.ts'

/** One end of the channel between two processes; what JSON can say goes through. */
export interface Channel {
  send(message: object): void
  onMessage(listener: (message: unknown) => void): void
}

/** What this end can be asked, by name. What one throws is thrown at the other end, a Problem as a Problem. */
export type Answers = Record<string, (value: never) => unknown>

/** Questions to the other process, and answers to its own. */
export interface Talk {
  /** Rejects when the other process ends without an answer. */
  ask<T>(what: string, value?: unknown): Promise<T>
  /** The other process is gone. */
  hangUp(): void
}

interface Question {
  ask: number
  what: string
  value?: unknown
}

interface Reply {
  reply: number
  value?: unknown
  failed?: { code?: ProblemCode; text: string }
}

const GONE = new Error('the other process has ended')

/** Opens one end. Messages of others on the same channel (Node's cluster has its own) are left alone. */
export function talkOver(channel: Channel, answers: Answers): Talk {
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  let asked = 0
  let gone = false
  channel.onMessage((message) => {
    if (isQuestion(message)) void answer(message)
    else if (isReply(message)) settle(message)
  })

  async function answer({ ask, what, value }: Question): Promise<void> {
    channel.send(await replyTo(answers[what], ask, value))
  }

  function settle({ reply, value, failed }: Reply): void {
    const caller = waiting.get(reply)
    waiting.delete(reply)
    if (failed) caller?.reject(errorOf(failed))
    else caller?.resolve(value as never)
  }

  return {
    ask: (what, value) => new Promise((resolve, reject) => {
      if (gone) return reject(GONE)
      waiting.set(++asked, { resolve, reject })
      channel.send({ ask: asked, what, value } satisfies Question)
    }),
    hangUp() {
      gone = true
      for (const { reject } of waiting.values()) reject(GONE)
      waiting.clear()
    },
  }
}

async function replyTo(answer: Answers[string] | undefined, reply: number, value: unknown): Promise<Reply> {
  try {
    if (!answer) throw new Error('nobody answers that')
    return { reply, value: await answer(value as never) }
  } catch (error) {
    if (!(error instanceof Problem)) return { reply, failed: { text: inWords(error) } }
    return { reply, failed: { code: error.code, text: error.message } }
  }
}

function errorOf({ code, text }: NonNullable<Reply['failed']>): Error {
  return code ? new Problem(code, text) : new Error(text)
}

function isQuestion(message: unknown): message is Question {
  return typeof message === 'object' && message !== null && 'ask' in message && 'what' in message
}

function isReply(message: unknown): message is Reply {
  return typeof message === 'object' && message !== null && 'reply' in message
}
