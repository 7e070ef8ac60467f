import { expect, it } from 'vitest'
import { closest } from '../../src/base/closest.ts'

const names = ['BRAMLEY_TLS', 'BRAMLEY_PUBLIC_URL', 'BRAMLEY_LISTEN', 'BRAMLEY_HTTP_LISTEN']

it.each([
  ['BRAMLEY_PUBLICURL', 'BRAMLEY_PUBLIC_URL'],
  ['BRAMLEY_LISTNE', 'BRAMLEY_LISTEN'],
  ['BRAMLEY_HTTPS_LISTEN', 'BRAMLEY_HTTP_LISTEN'],
  ['bramley_tls', undefined],
  ['BRAMLEY_SOMETHING_ELSE_ENTIRELY', undefined],
  ['', undefined],
])('takes %j for %j', (word, meant) => {
  expect(closest(word, names)).toBe(meant)
})

it('lets a short word differ by two letters, and has no answer without candidates', () => {
  expect(closest('idel', ['Idle'])).toBe(undefined)
  expect(closest('Idel', ['Idle'])).toBe('Idle')
  expect(closest('Idle', [])).toBeUndefined()
})

it('prefers the nearest, and the first of two equally near', () => {
  expect(closest('abcd', ['abxx', 'abcx', 'abcd'])).toBe('abcd')
  expect(closest('ab', ['ax', 'ay'])).toBe('ax')
})
