import { describe, expect, it } from 'vitest'
import type { HttpAnswer } from '../../src/simulator/https-client.ts'
import { DEFAULT_PATIENCE, Offline, patiently, pauseAfter, type Patience } from '../../src/simulator/patience.ts'

const never = new AbortController().signal
const quick: Patience = { firstPauseMs: 0, longestPauseMs: 0, longestRetryAfterMs: 0, attempts: 4 }
const answer = (status: number, headers: HttpAnswer['headers'] = {}): HttpAnswer => (
  { status, headers, body: Buffer.alloc(0) }
)

/** Gives these answers one after the other, and counts. */
function server(...answers: (HttpAnswer | Error)[]) {
  const seen = { calls: 0 }
  const send = async () => {
    const next = answers[Math.min(seen.calls++, answers.length - 1)]
    if (next instanceof Error) throw next
    return next as HttpAnswer
  }
  return { send, seen }
}

describe('a patient device', () => {
  it('tries again after a lost connection, 5xx and 429', async () => {
    const { send, seen } = server(new Error('reset'), answer(503), answer(429), answer(200))
    expect((await patiently(send, quick, never)).status).toBe(200)
    expect(seen.calls).toBe(4)
  })

  it.each([200, 400, 401, 403, 404, 410])('takes %i for an answer', async (status) => {
    const { send, seen } = server(answer(status))
    expect((await patiently(send, quick, never)).status).toBe(status)
    expect(seen.calls).toBe(1)
  })

  it('ends with what it got last', async () => {
    expect((await patiently(server(new Error('reset'), answer(500)).send, quick, never)).status).toBe(500)
    await expect(patiently(server(answer(500), new Error('reset')).send, quick, never)).rejects.toThrow('reset')
  })

  it('does not try without network', async () => {
    const { send, seen } = server(new Offline())
    await expect(patiently(send, quick, never)).rejects.toThrow(Offline)
    expect(seen.calls).toBe(1)
  })

  it('stops in the middle of a pause', async () => {
    const stopping = new AbortController()
    const slow = { ...quick, firstPauseMs: 60_000, longestPauseMs: 60_000 }
    const waiting = patiently(server(answer(503)).send, slow, stopping.signal)
    stopping.abort()
    await expect(waiting).rejects.toThrow('aborted')
  })
})

describe('its pauses', () => {
  it('double up to the longest', () => {
    expect([1, 2, 3, 20].map((attempt) => pauseAfter(attempt, undefined, DEFAULT_PATIENCE)))
      .toEqual([500, 1_000, 2_000, 60_000])
  })

  it('are what the server asks for, within reason', () => {
    expect(pauseAfter(1, answer(503, { 'retry-after': '10' }), DEFAULT_PATIENCE)).toBe(10_000)
    expect(pauseAfter(1, answer(503, { 'retry-after': '86400' }), DEFAULT_PATIENCE)).toBe(300_000)
    expect(pauseAfter(1, answer(503, { 'retry-after': 'soon' }), DEFAULT_PATIENCE)).toBe(500)
  })
})
