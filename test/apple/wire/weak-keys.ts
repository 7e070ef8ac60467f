import { checkPrimeSync, generatePrimeSync, type JsonWebKey } from 'node:crypto'

/** An RSA key whose second prime is the next one after the first: long enough, and factored in a moment. */
export function closePrimesKey(): JsonWebKey {
  const p = generatePrimeSync(1024, { bigint: true })
  let q = p + 2n
  while (!checkPrimeSync(q) || (q - 1n) % 65537n === 0n) q += 2n
  const d = inverse(65537n, (p - 1n) * (q - 1n))
  const numbers = { n: p * q, e: 65537n, d, p: q, q: p, dp: d % (q - 1n), dq: d % (p - 1n), qi: inverse(p, q) }
  return {
    kty: 'RSA',
    ...Object.fromEntries(Object.entries(numbers).map(([name, number]) => [name, base64url(number)])),
  }
}

function base64url(number: bigint): string {
  const hex = number.toString(16)
  return Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex').toString('base64url')
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [value % modulus, modulus, 1n, 0n]
  while (b > 0n) {
    const quotient = a / b
    ;[a, b, x, y] = [b, a - quotient * b, y, x - quotient * y]
  }
  return ((x % modulus) + modulus) % modulus
}
