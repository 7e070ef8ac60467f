import { expect, it } from 'vitest'
import { compareVersions } from '../../../src/apple/catalogue/os-version.ts'

it.each([
  ['17.9', '17.10', -1], ['9.3.5', '10.0', -1], ['18', '18.0.0', 0], ['16.4.1 (a)', '16.4.1', 0], ['26.0', '18.7.2', 1],
  ['10.15.7', '10.15', 1],
])('%s against %s is %i', (a, b, expected) => {
  expect(Math.sign(compareVersions(a, b))).toBe(expected)
})

it.each(['', 'beta', '.5', 'v18.1'])('%j is no version', (text) => {
  expect(compareVersions(text, '18.1')).toBeNaN()
})
