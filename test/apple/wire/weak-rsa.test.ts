import { createPublicKey, generatePrimeSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { weakModulus } from '../../../src/apple/wire/weak-rsa.ts'
import { rsaKey } from './pki.ts'
import { closePrimesKey } from './weak-keys.ts'

const modulusOf = ({ n = '' }: { n?: string }): bigint => BigInt(`0x${Buffer.from(n, 'base64url').toString('hex')}`)

// The product of the primes of the ROCA fingerprint; such a generator makes primes k * M + 65537^a mod M.
const M = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
  127, 131, 137, 139, 149, 151, 157, 163, 167,
].reduce((product, prime) => product * BigInt(prime), 1n)

function rocaLike(exponent: number): bigint {
  let power = 1n
  for (let i = 0; i < exponent; i++) power = (power * 65537n) % M
  let found = (1n << 1023n) - ((1n << 1023n) % M) + M + power
  if (found % 2n === 0n) found += M
  return found
}

describe('weak RSA moduli', () => {
  it('has nothing against ordinary keys', () => {
    for (const bits of [2048, 3072]) {
      expect(weakModulus(modulusOf(createPublicKey(rsaKey(bits)).export({ format: 'jwk' })))).toBeUndefined()
    }
  })

  it('finds two primes that lie close together', () => {
    expect(weakModulus(modulusOf(closePrimesKey()))).toBe('close primes')
    const p = generatePrimeSync(512, { bigint: true })
    expect(weakModulus(p * p)).toBe('close primes')
  })

  it('finds the fingerprint of ROCA', () => {
    expect(weakModulus(rocaLike(11) * rocaLike(1234))).toBe('ROCA')
  })

  it('finds small factors', () => {
    const p = generatePrimeSync(1024, { bigint: true })
    expect(weakModulus(p * 2n)).toBe('small factor')
    expect(weakModulus(p * 167n)).toBe('small factor')
  })
})
