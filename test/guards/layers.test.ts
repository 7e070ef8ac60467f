import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const SRC = fileURLToPath(new URL('../../src', import.meta.url))

/** Which floors a floor may use, besides itself. Arrows point down only. */
const FLOORS: Record<string, string[]> = {
  apple: [],
  base: ['apple'],
  features: ['apple', 'base'],
  doors: ['apple', 'base', 'features'],
  simulator: ['apple'],
  cli: ['apple', 'base', 'features', 'doors', 'simulator', 'root'],
  root: ['apple', 'base', 'features', 'doors', 'simulator'],
}

/** Which feature may use which. */
const FEATURES: Record<string, string[]> = {
  access: [],
  audit: [],
  identity: [],
  webhook: [],
  enrollments: ['identity', 'webhook'],
  push: ['enrollments'],
  commands: ['enrollments', 'push', 'webhook'],
  inventory: ['enrollments'],
  declarations: ['enrollments', 'webhook'],
  'enrollment-profiles': ['identity', 'push', 'access'],
}

interface Import {
  from: string
  to: string
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
const imports: Import[] = files.flatMap((file) => importsOf(file))

function importsOf(file: string): Import[] {
  const text = readFileSync(join(SRC, file), 'utf8')
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(([, to = '']) => ({
    from: file,
    to: to.startsWith('.') ? relative(SRC, resolve(SRC, dirname(file), to)) : to,
  }))
}

const isOurs = ({ to }: Import) => files.includes(to) || to.endsWith('.json')
const floorOf = (file: string) => (file.includes('/') ? (file.split('/')[0] ?? '') : 'root')
const featureOf = (file: string) => (file.startsWith('features/') ? file.split('/')[1] : undefined)
const shown = (list: Import[]) => list.map(({ from, to }) => `${from} -> ${to}`)

describe('the house', () => {
  it('has its imports read by this guard', () => {
    expect(imports.filter(isOurs).length).toBeGreaterThan(files.length)
  })

  it('lets arrows point down only', () => {
    const wrong = imports.filter(isOurs).filter(({ from, to }) => {
      const [a, b] = [floorOf(from), floorOf(to)]
      return a !== b && !FLOORS[a]?.includes(b)
    })
    expect(shown(wrong)).toEqual([])
  })

  it('lets features use each other only as listed, and only through index.ts', () => {
    const wrong = imports.filter(isOurs).filter(({ from, to }) => {
      const [a, b] = [featureOf(from), featureOf(to)]
      if (b === undefined || a === b) return false
      if (to !== `features/${b}/index.ts`) return true
      return a !== undefined && !FEATURES[a]?.includes(b)
    })
    expect(shown(wrong)).toEqual([])
  })

  it('keeps Apple’s floor pure: no web server, no database, no environment, no clock', () => {
    const wrong = imports.filter(({ from, to }) => from.startsWith('apple/') && /^(fastify|@fastify|pg$|drizzle)/.test(to))
    expect(shown(wrong)).toEqual([])
    const impure = files.filter((file) => file.startsWith('apple/wire/') && /process\.env|Date\.now\(\)|new Date\(\)/.test(readFileSync(join(SRC, file), 'utf8')))
    expect(impure).toEqual([])
  })

  it('reads the environment in config.ts only', () => {
    expect(files.filter((file) => readFileSync(join(SRC, file), 'utf8').includes('process.env'))).toEqual(['config.ts'])
  })

  it('has no file over 400 lines', () => {
    expect(files.filter((file) => readFileSync(join(SRC, file), 'utf8').split('\n').length > 400)).toEqual([])
  })
})
