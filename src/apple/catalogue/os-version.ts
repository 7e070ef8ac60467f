/**
 * Compares two OS versions number by number: negative when `a` is older, 0 for `16.2` and `16.2.0`. The letter of a
 * Rapid Security Response, as in `16.4.1 (a)`, does not count. NaN when one of them does not begin with a number.
 */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [numbers(a), numbers(b)]
  if (left.length === 0 || right.length === 0) return Number.NaN
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function numbers(version: string): number[] {
  return /^\d+(?:\.\d+)*/.exec(version)?.[0].split('.').map(Number) ?? []
}
