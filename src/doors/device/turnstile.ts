import { DeviceRefused } from '../../base/refusal.ts'

const WAITING = 64
const PATIENCE_MS = 5_000

interface Queue {
  length: number
  last: Promise<unknown>
}

/** Lets the holders of one certificate in one after the other. */
export type Turnstile = <T>(certificateSha256: Buffer, work: () => Promise<T>) => Promise<T>

/**
 * One message of a device at a time in this process (shared decision 12), so that a flood of one waits for itself and not in
 * everybody's database connections. Order and truth do not hang on it: they are the lock of the enrollment row, which other
 * processes see too. Throws DeviceRefused 503 to the 65th that waits, and to who waits for five seconds; then `work` is not done.
 */
export function turnstile(): Turnstile {
  const queues = new Map<string, Queue>()
  return async (certificateSha256, work) => {
    const name = certificateSha256.toString('latin1')
    const queue = queues.get(name) ?? { length: 0, last: Promise.resolve() }
    if (queue.length > WAITING) throw new DeviceRefused('busy', 503)
    queues.set(name, queue)
    queue.length++
    const mine = queue.length === 1 ? work() : afterwards(queue.last, work)
    queue.last = mine.catch(() => undefined)
    try {
      return await mine
    } finally {
      if (--queue.length === 0) queues.delete(name)
    }
  }
}

async function afterwards<T>(before: Promise<unknown>, work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const impatience = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new DeviceRefused('busy', 503)), PATIENCE_MS)
  })
  await Promise.race([before, impatience]).finally(() => clearTimeout(timer))
  return work()
}
