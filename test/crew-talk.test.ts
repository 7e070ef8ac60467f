import { describe, expect, it } from 'vitest'
import { Problem } from '../src/base/problem.ts'
import { talkOver, type Answers, type Talk } from '../src/crew-talk.ts'

/** Two ends of one line. What is sent is what JSON makes of it, as between processes. */
function line(near: Answers, far: Answers): [Talk, Talk] {
  const ears: ((message: unknown) => void)[] = []
  const end = (own: number, answers: Answers) => talkOver({
    send: (message) => queueMicrotask(() => ears[1 - own]?.(JSON.parse(JSON.stringify(message)))),
    onMessage: (listener) => void (ears[own] = listener),
  }, answers)
  return [end(0, near), end(1, far)]
}

describe('two processes that talk', () => {
  it('answer each other, also at the same moment', async () => {
    const [a, b] = line({ name: () => 'a' }, { twice: (value: number) => 2 * value, slow: async () => 'later' })
    expect(await Promise.all([a.ask('slow'), a.ask('twice', 2), b.ask('name'), a.ask('twice', 3)])).toEqual(['later', 4, 'a', 6])
  })

  it('tell each other what went wrong: a Problem as one, anything else by its words', async () => {
    const [a] = line({}, {
      find: () => {
        throw new Problem('not_found', 'There is no such simulated device.')
      },
      break: () => Promise.reject(new Error('broken')),
    })
    const problem = await a.ask('find').catch((error: unknown) => error)
    expect(problem).toBeInstanceOf(Problem)
    expect(problem).toMatchObject({ code: 'not_found', detail: 'There is no such simulated device.' })
    await expect(a.ask('break')).rejects.toThrow(new Error('broken'))
    await expect(a.ask('sing')).rejects.toThrow(new Error('nobody answers that'))
  })

  it('do not wait for one that is gone, neither those who asked before nor those who ask now', async () => {
    const [a] = line({}, { never: () => new Promise(() => undefined) })
    const before = a.ask('never')
    a.hangUp()
    await expect(before).rejects.toThrow('the other process has ended')
    await expect(a.ask('never')).rejects.toThrow('the other process has ended')
  })

  it('leave messages of others alone', async () => {
    const heard: unknown[] = []
    let ear: (message: unknown) => void = () => undefined
    talkOver({ send: (message) => void heard.push(message), onMessage: (listener) => void (ear = listener) }, {})
    for (const message of [undefined, null, 'text', 7, { cmd: 'NODE_CLUSTER' }, { reply: 99 }]) ear(message)
    await Promise.resolve()
    expect(heard).toEqual([])
  })
})
