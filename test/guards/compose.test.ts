import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { matcher } from '../../src/base/cidr.ts'
import { VERSION } from '../../src/base/version.ts'
import { readConfig, SETTINGS } from '../../src/config.ts'
import { isCopied, texts } from '../support/dockerfile.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')
const fallback = (name: string) => SETTINGS.find((setting) => setting.name === name)?.fallback ?? ''
const LISTEN = fallback('BRAMLEY_LISTEN').split(':')[1] ?? ''

interface Service {
  image: string
  build?: string
  user?: string
  read_only?: boolean
  init?: boolean
  cap_drop?: string[]
  security_opt?: string[]
  tmpfs?: string[]
  ports?: string[]
  environment?: Record<string, string>
  volumes?: string[]
  networks?: string[] | Record<string, { ipv4_address?: string }>
  depends_on?: Record<string, { condition: string }>
  healthcheck?: { test?: string[] }
  entrypoint?: string[]
  stop_grace_period?: string
  network_mode?: string
}

interface Compose {
  services: Record<string, Service>
  networks: Record<string, { internal?: boolean; ipam?: { config: { subnet: string }[] } } | null>
  volumes: Record<string, unknown>
}

const load = (file: string) => parse(read(file), { merge: true }) as Compose
const FILES = {
  'docker-compose.yml': { compose: load('docker-compose.yml'), server: 'bramley', maker: 'secrets', db: 'db' },
  'docker-compose.demo.yml': { compose: load('docker-compose.demo.yml'), server: 'demo', maker: 'demo-secrets', db: 'demo-db' },
}
const get = ({ services }: Compose, name: string): Service => {
  const found = services[name]
  if (!found) throw new Error(`no service ${name}`)
  return found
}

describe.each(Object.entries(FILES))('%s', (file, { compose, server, maker, db }) => {
  const services = Object.values(compose.services)
  const ours = [get(compose, server), get(compose, maker)]
  const [mounted = '', inside = ''] = get(compose, maker).volumes?.[0]?.split(':') ?? []

  it('builds this version, and runs it as the image’s user with nothing to write to but its volumes', () => {
    for (const one of ours) {
      expect(one).toMatchObject({ image: `bramley:${VERSION}`, build: '.', user: texts('USER')[0], read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
    }
    expect(get(compose, server)).toMatchObject({ tmpfs: ['/tmp'], init: true, stop_grace_period: '40s' })
    expect(get(compose, server).volumes).toEqual([expect.stringMatching(/^\w+:\/data$/), `${mounted}:${inside}:ro`])
  })

  it('keeps everything in named volumes, each declared and each used', () => {
    const mounts = services.flatMap((one) => one.volumes ?? []).map((text) => text.split(':')[0] ?? '')
    expect(new Set(mounts.filter((name) => !name.startsWith('.')))).toEqual(new Set(Object.keys(compose.volumes)))
    expect(mounts.filter((name) => name.startsWith('.') && !existsSync(join(ROOT, name)))).toEqual([])
    // From PostgreSQL 18 on the image's data are in a folder below.
    expect(get(compose, db).image).toBe('postgres:18')
    expect(get(compose, db).volumes).toEqual([expect.stringMatching(/^\w+:\/var\/lib\/postgresql$/), `${mounted}:${inside}:ro`])
  })

  it('holds no secret: they are files that the first start makes', () => {
    const named = services.flatMap((one) => Object.entries(one.environment ?? {})).filter(([name]) => /PASSWORD|SECRET|TOKEN|KEY|DATABASE_URL/.test(name))
    expect(named).toEqual(expect.arrayContaining([['POSTGRES_PASSWORD_FILE', '/run/bramley/db_password'], ['BRAMLEY_DATABASE_URL_FILE', '/run/bramley/database_url']]))
    expect(named.filter(([name, value]) => !name.endsWith('_FILE') || !value.startsWith(`${inside}/`))).toEqual([])
    expect(read(file)).not.toMatch(/postgres:\/\/|password:/i)
  })

  it('lets nobody reach the database but the server, and publishes only what phones or this machine need', () => {
    expect([get(compose, db).ports, get(compose, maker).ports, get(compose, maker).network_mode]).toEqual([undefined, undefined, 'none'])
    const published = services.flatMap((one) => one.ports ?? [])
    expect(published).toEqual(server === 'demo' ? [`127.0.0.1:${LISTEN}:${LISTEN}`] : ['80:80', '443:443', '443:443/udp'])
  })

  it('starts them in order', () => {
    expect(get(compose, server).depends_on).toEqual({ [maker]: { condition: 'service_completed_successfully' }, [db]: { condition: 'service_healthy' } })
    expect(get(compose, db).depends_on).toEqual({ [maker]: { condition: 'service_completed_successfully' } })
    // By TCP: a first start answers on the socket before it is ready.
    expect(get(compose, db).healthcheck?.test?.slice(0, 4)).toEqual(['CMD', 'pg_isready', '-h', '127.0.0.1'])
  })

  describe('with the secrets that its first start makes', () => {
    let folder: string
    const make = () => {
      const [program = '', script = '', , ...rest] = get(compose, maker).entrypoint ?? []
      expect([program, isCopied(script.replace('/app/', ''))]).toEqual(['node', true])
      return spawnSync(process.execPath, [join(ROOT, script.replace('/app/', '')), folder, ...rest], { encoding: 'utf8' })
    }
    const made = (name: string) => readFileSync(join(folder, name), 'utf8').trim()
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'bramley-secrets-'))
    })
    afterAll(() => rmSync(folder, { recursive: true, force: true }))

    it('gives server and database one long random password, for their user only, once', () => {
      expect(get(compose, maker).entrypoint?.[2]).toBe(inside)
      expect([make().status, make().stderr]).toEqual([0, ''])
      const [url, password] = [new URL(made('database_url')), made('db_password')]
      const { POSTGRES_USER, POSTGRES_DB } = get(compose, db).environment ?? {}
      expect([url.hostname, url.username, url.pathname, url.password]).toEqual([db, POSTGRES_USER, `/${POSTGRES_DB}`, password])
      expect(password).toMatch(/^[\w-]{43}$/)
      expect(['database_url', 'db_password'].map((name) => statSync(join(folder, name)).mode & 0o777)).toEqual([0o400, 0o400])
      make()
      expect(made('db_password')).toBe(password)
      rmSync(join(folder, 'database_url'))
      make()
      expect(new URL(made('database_url')).password).toBe(password)
    })

    it('gives the server settings that it accepts', () => {
      const given = Object.entries(get(compose, server).environment ?? {}).map(([name, value]) => (
        [name, value.replace(/^\$\{BRAMLEY_PUBLIC_URL:\?.*\}$/, 'https://mdm.example.com').replace(/^\$\{\w+:-(.*)\}$/, '$1').replace(inside, folder)]
      ))
      const config = readConfig({ ...Object.fromEntries(given), BRAMLEY_CONFIG: '/dev/null' })
      expect(config).toMatchObject({ databaseUrl: made('database_url'), listen: { host: '', port: Number(LISTEN) }, workers: 1 })
      expect(config.simulator).toBe(server === 'demo' ? 'on' : 'off')
    })
  })
})

describe('docker-compose.yml', () => {
  const { compose } = FILES['docker-compose.yml']
  const env = get(compose, 'bramley').environment ?? {}
  const caddy = get(compose, 'caddy')

  it('asks for the public URL instead of guessing it', () => {
    for (const one of [env, caddy.environment ?? {}]) expect(one['BRAMLEY_PUBLIC_URL']).toMatch(/^\$\{BRAMLEY_PUBLIC_URL:\?.+\}$/)
  })

  it('believes Caddy alone, at the address that it has', () => {
    const address = Array.isArray(caddy.networks) ? undefined : caddy.networks?.['front']?.ipv4_address
    expect([env['BRAMLEY_TLS'], env['BRAMLEY_TRUSTED_PROXIES']]).toEqual(['off', `${address}/32`])
    expect(matcher([compose.networks['front']?.ipam?.config[0]?.subnet ?? ''])(address)).toBe(true)
    expect([get(compose, 'bramley').networks, get(compose, 'db').networks, compose.networks['back']?.internal]).toEqual([['front', 'back'], ['back'], true])
  })

  it('has a Caddyfile that leads to the server, and lets no client claim a certificate', () => {
    const text = read('Caddyfile')
    expect(text).toContain('{$BRAMLEY_PUBLIC_URL} {')
    expect(text).toContain(`reverse_proxy bramley:${LISTEN} {`)
    expect(text).toContain(`header_up -${fallback('BRAMLEY_CLIENT_CERT_HEADER')}`)
    expect(caddy.volumes).toContain('./Caddyfile:/etc/caddy/Caddyfile:ro')
  })

  it('shares no name with the demo, which may stand beside it', () => {
    const names = ({ compose: one }: { compose: Compose }) => [...Object.keys(one.services), ...Object.keys(one.networks), ...Object.keys(one.volumes)]
    const [real, demo] = [names(FILES['docker-compose.yml']), names(FILES['docker-compose.demo.yml'])]
    expect(real.filter((name) => demo.includes(name))).toEqual([])
  })
})
