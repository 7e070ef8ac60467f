import { describe, expect, it } from 'vitest'
import { describeListen, isLoopbackHost, parseListen } from '../../src/base/listen-address.ts'

describe('a listen address', () => {
  it.each([
    ['127.0.0.1:8443', '127.0.0.1', 8443],
    ['localhost:0', 'localhost', 0],
    ['mdm-1.example.com:65535', 'mdm-1.example.com', 65_535],
    ['[::1]:8443', '::1', 8443],
    ['[fd00::2]:1', 'fd00::2', 1],
    [':8443', '', 8443],
  ])('is read and written as %s', (text, host, port) => {
    expect(parseListen(text)).toEqual({ host, port })
    expect(describeListen({ host, port })).toBe(text)
  })

  it.each(['', '8443', 'localhost', ':', ':x', ':-1', ':65536', ':123456', '::1:8443', '[::1]', '[::1]8443', 'a b:1', 'http://a:1', 'a:1/', 'a:1\n'])(
    'is not %j', (text) => {
      expect(parseListen(text).port).toBe(-1)
    })
})

it('knows the hosts that only this machine reaches', () => {
  const here = ['localhost', '127.0.0.1', '127.255.255.254', '::1', '[::1]']
  const elsewhere = ['', '0.0.0.0', '::', '192.0.2.1', '128.0.0.1', '127.0.0.1.example.com', 'localhost.example.com', '1127.0.0.1', '::2']
  expect([...here, ...elsewhere].filter(isLoopbackHost)).toEqual(here)
})
