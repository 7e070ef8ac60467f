import { expect, it } from 'vitest'
import { isLoopback, matcher } from '../../src/base/cidr.ts'

it.each([
  ['10.0.0.0/8', ['10.0.0.1', '10.255.255.255', '::ffff:10.1.2.3', '::FFFF:10.1.2.3'], ['11.0.0.0', '9.255.255.255', '::1', 'fd00::10.0.0.1']],
  ['192.0.2.7', ['192.0.2.7', '::ffff:192.0.2.7'], ['192.0.2.6', '192.0.2.8']],
  ['192.0.2.128/25', ['192.0.2.128', '192.0.2.255'], ['192.0.2.127', '192.0.3.128']],
  ['fd00::/8', ['fd00::1', 'fdff::'], ['fe00::1', '10.0.0.1', '::1']],
  ['2001:db8::1', ['2001:db8::1', '2001:0db8:0:0::1'], ['2001:db8::2']],
  ['fe80::/10', ['fe80::1', 'fe80::1%eth0'], ['fec0::1']],
  ['0.0.0.0/0', ['0.0.0.0', '255.255.255.255', '::ffff:1.2.3.4'], ['2001:db8::1']],
])('finds the addresses in %s and no others', (cidr, inside, outside) => {
  const isIn = matcher([cidr])
  expect([...inside, ...outside].filter(isIn)).toEqual(inside)
})

it('finds an address in any of several, and none in no CIDR', () => {
  const isIn = matcher(['10.0.0.0/8', 'fd00::/8'])
  expect(['10.0.0.1', 'fd00::1', '192.0.2.1'].filter(isIn)).toEqual(['10.0.0.1', 'fd00::1'])
  expect(['127.0.0.1', '::1', '0.0.0.0'].filter(matcher([]))).toEqual([])
})

it('takes what is no address, as of a socket that is gone, for outside', () => {
  const isIn = matcher(['0.0.0.0/0', '::/0'])
  expect([undefined, '', 'localhost', '10.0.0.1:80', '/run/socket'].filter(isIn)).toEqual([])
})

it('knows loopback however a dual-stack socket writes it', () => {
  const here = ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']
  expect([...here, '128.0.0.1', '0.0.0.0', '::', '::2', '192.0.2.1', '::ffff:192.0.2.1'].filter(isLoopback)).toEqual(here)
})
