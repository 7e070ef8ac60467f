const LONGEST_QUOTE = 64
const LEAST_LIKENESS = 0.6

/** A word of the command, in quotation marks and never longer than 64 characters. */
export function quote(word: string | number | bigint): string {
  const text = String(word)
  return `"${text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}…` : text}"`
}

/** ` Did you mean X?`, or nothing when no name is much like `word`. */
export function didYouMean(word: string, names: Iterable<string>): string {
  const name = mostAlike(word, names)
  return name === undefined ? '' : ` Did you mean ${name}?`
}

/**
 * The name that shares most pairs of neighbouring letters with `word` (Dice's coefficient). Unlike an edit distance it
 * finds `DeviceLock` for `LockDevice`, which is how Apple's names are got wrong.
 */
function mostAlike(word: string, names: Iterable<string>): string | undefined {
  if (word.length > LONGEST_QUOTE) return undefined
  const pairs = letterPairs(word)
  let best: string | undefined
  let most = LEAST_LIKENESS
  for (const name of names) {
    const likeness = dice(pairs, letterPairs(name))
    if (likeness < most) continue
    best = name
    most = likeness
  }
  return best
}

function letterPairs(word: string): Set<string> {
  const letters = word.toLowerCase()
  return new Set(Array.from({ length: Math.max(letters.length - 1, 0) }, (_, i) => letters.slice(i, i + 2)))
}

function dice(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  let shared = 0
  for (const pair of a) if (b.has(pair)) shared++
  return (2 * shared) / Math.max(a.size + b.size, 1)
}
