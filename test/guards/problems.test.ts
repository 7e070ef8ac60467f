import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { PROBLEMS } from '../../src/base/problem.ts'

const page = readFileSync(new URL('../../docs/problems.md', import.meta.url), 'utf8')
const rows = [...page.matchAll(/^\| `([a-z_]+)` \| (\d{3}) \| .+ \| .+ \|$/gm)].map(([, code, status]) => (
  { code, status: Number(status) }
))

describe('docs/problems.md', () => {
  it('documents every problem with its status, once, and nothing else', () => {
    expect(rows).toEqual(Object.entries(PROBLEMS).map(([code, [status]]) => ({ code, status })))
  })

  it('reads every row of its table', () => {
    expect(rows).toHaveLength(page.split('\n').filter((line) => line.startsWith('| `')).length)
  })
})
