import { expect, it } from 'vitest'
import { durationMs } from '../../src/base/duration.ts'

it.each([['1s', 1_000], ['90s', 90_000], ['15m', 900_000], ['72h', 259_200_000], ['7d', 604_800_000], ['3650d', 315_360_000_000]])(
  'reads %s', (text, ms) => {
    expect(durationMs(text, '/expires_in')).toBe(ms)
  })

it.each(['', '0s', '5', 's', '-5m', '1.5h', '1w', '5M', ' 5m', '5m ', '5m\n', '1h30m', '3651d', '87601h', '9999999999s', '٥m'])(
  'refuses %j with the field it stands in', (text) => {
    const finding = { pointer: '/expires_in', code: 'duration', detail: 'must look like 90s, 15m, 72h or 7d' }
    expect(() => durationMs(text, '/expires_in'))
      .toThrow(expect.objectContaining({ code: 'validation_failed', options: { errors: [finding] } }))
  })
