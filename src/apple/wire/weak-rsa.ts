// The primes of the ROCA fingerprint (CVE-2017-15361): 3 to 167.
const PRIMES = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
  127, 131, 137, 139, 149, 151, 157, 163, 167,
]
const powers = PRIMES.map(powersOfExponent)
const FERMAT_STEPS = 100

/**
 * Why this RSA modulus can be factored although it is long enough, or undefined: it has a small factor, carries the
 * ROCA fingerprint of a broken generator, or its two primes lie so close together that Fermat's method finds them.
 * Some milliseconds; meant for the issuing of certificates, not for every message.
 */
export function weakModulus(modulus: bigint): string | undefined {
  const remainders = PRIMES.map((prime) => Number(modulus % BigInt(prime)))
  if (modulus % 2n === 0n || remainders.includes(0)) return 'small factor'
  if (remainders.every((remainder, i) => powers[i]?.has(remainder))) return 'ROCA'
  return primesAreClose(modulus) ? 'close primes' : undefined
}

function powersOfExponent(prime: number): Set<number> {
  const found = new Set<number>()
  for (let power = 1; !found.has(power); power = (power * 65537) % prime) found.add(power)
  return found
}

// n = a^2 - b^2 = (a + b)(a - b), with a just above the root of n.
function primesAreClose(modulus: bigint): boolean {
  const root = squareRoot(modulus)
  for (let a = root; a <= root + BigInt(FERMAT_STEPS); a++) {
    const square = a * a - modulus
    if (square >= 0n && squareRoot(square) ** 2n === square) return true
  }
  return false
}

function squareRoot(value: bigint): bigint {
  if (value < 2n) return value
  let guess = 1n << BigInt((value.toString(2).length >> 1) + 1)
  for (;;) {
    const better = (guess + value / guess) >> 1n
    if (better >= guess) return guess
    guess = better
  }
}
