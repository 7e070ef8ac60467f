import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { SETTINGS } from '../../src/config.ts'

const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8')

describe('docs/configuration.md', () => {
  it('describes every setting with its default and its meaning, and nothing else', () => {
    const documented = [...page.matchAll(/^\| `(BRAMLEY_[A-Z_]+)` \| (.*?) \| (.*) \|$/gm)].map(([, name, fallback, meaning]) => ({ name, fallback, meaning }))
    expect(documented).toEqual(SETTINGS.map(({ name, fallback, meaning }) => ({ name, fallback: fallback === '' ? '(empty)' : `\`${fallback}\``, meaning })))
  })
})
