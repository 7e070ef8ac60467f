import { describe, expect, it } from 'vitest'
import {
  afterNotNow, BEHAVIOUR_FORMS, delayOf, errorRateOf, parseBehaviour, putsOff,
} from '../../src/simulator/behaviour.ts'

describe('a behaviour on the command line', () => {
  it.each([
    ['answers', 'answers'],
    ['offline', 'offline'],
    ['ignores-pushes', 'ignores_pushes'],
    ['not-now', { notNow: 'until_unlocked' }],
    ['not-now:3', { notNow: 3 }],
    ['error:0.25', { errorRate: 0.25 }],
    ['error:1', { errorRate: 1 }],
    ['delay:500', { delayMs: 500 }],
  ])('%s', (text, behaviour) => {
    expect(parseBehaviour(text)).toEqual(behaviour)
  })

  it.each([
    '', 'Answers', 'not-now:0', 'not-now:1.5', 'error:1.1', 'error', 'delay:-1', 'delay:0.5', 'delay:', '500',
  ])('is not %j', (text) => {
    expect(parseBehaviour(text)).toBeUndefined()
  })

  it('has every form that the help shows', () => {
    const examples = BEHAVIOUR_FORMS.map((form) => form.replace(/TIMES|MS/, '2').replace('RATE', '0.5'))
    expect(examples.map(parseBehaviour)).not.toContain(undefined)
  })
})

describe('NotNow', () => {
  it.each([
    'DeviceInformation', 'ProfileList', 'DeviceLock', 'EraseDevice', 'ClearPasscode',
  ])('is never said to %s', (requestType) => {
    expect(putsOff({ notNow: 'until_unlocked' }, requestType)).toBe(false)
  })

  it('is said to others while it lasts', () => {
    expect(putsOff({ notNow: 'until_unlocked' }, 'InstallProfile')).toBe(true)
    expect(putsOff({ notNow: 1 }, 'SecurityInfo')).toBe(true)
    expect(putsOff('answers', 'InstallProfile')).toBe(false)
    expect(putsOff({ delayMs: 1 }, 'InstallProfile')).toBe(false)
  })

  it('is counted down to answering, and has no end while locked', () => {
    expect(afterNotNow({ notNow: 2 })).toEqual({ notNow: 1 })
    expect(afterNotNow({ notNow: 1 })).toBe('answers')
    expect(afterNotNow({ notNow: 'until_unlocked' })).toEqual({ notNow: 'until_unlocked' })
  })
})

describe('other behaviours', () => {
  it('have no part in each other', () => {
    expect([errorRateOf({ errorRate: 0.5 }), errorRateOf({ delayMs: 5 }), errorRateOf('offline')]).toEqual([0.5, 0, 0])
    expect([delayOf({ delayMs: 5 }), delayOf({ errorRate: 0.5 }), delayOf('answers')]).toEqual([5, 0, 0])
  })
})
