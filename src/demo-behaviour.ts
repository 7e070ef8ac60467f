import type { Behaviour } from './simulator/index.ts'

/** How people write a behaviour: what `parseBehaviour` reads. */
export function writeBehaviour(behaviour: Behaviour): string {
  if (behaviour === 'ignores_pushes') return 'ignores-pushes'
  if (typeof behaviour === 'string') return behaviour
  if ('errorRate' in behaviour) return `error:${behaviour.errorRate}`
  if ('delayMs' in behaviour) return `delay:${behaviour.delayMs}`
  return behaviour.notNow === 'until_unlocked' ? 'not-now' : `not-now:${behaviour.notNow}`
}
