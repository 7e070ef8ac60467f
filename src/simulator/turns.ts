/** Lets one thing happen after the other. */
export interface Turns {
  /** Runs `body` when everything before it has ended, whatever came of that. */
  take<T>(body: () => Promise<T>): Promise<T>
  /** Resolves when nothing runs and nothing waits. */
  settled(): Promise<void>
}

export function createTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve()
  return {
    take(body) {
      const result = last.then(body)
      last = result.catch(() => undefined)
      return result
    },
    async settled() {
      for (let seen; seen !== last;) {
        seen = last
        await seen
      }
    },
  }
}
