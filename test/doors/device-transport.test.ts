import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildApp } from '../../src/app.ts'
import type { Deps } from '../../src/base/deps.ts'
import { startSightings } from '../../src/features/enrollments/index.ts'
import { loadAuthorities } from '../../src/features/identity/index.ts'
import { openClients } from '../../src/features/push/index.ts'
import { testDeps } from '../support/deps.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'

let database: FreshDatabase
let deps: Deps
let app: FastifyInstance
const lines: Record<string, unknown>[] = []

beforeAll(async () => {
  database = await freshDatabase()
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  deps = testDeps(database.url, { log, settings: { BRAMLEY_TLS: 'off', BRAMLEY_TRUSTED_PROXIES: '198.51.100.0/24, fd00::/8' } })
  const parts = {
    authorities: await loadAuthorities(deps), sightings: startSightings(deps), health: { ready: true, draining: false }, trustRoots: [],
    pushClients: openClients(deps, () => undefined),
  }
  app = buildApp(deps, parts, ['device'], undefined)
})
afterAll(async () => {
  await app.close()
  await deps.db.close()
  await database.drop()
})

/** A request over plain HTTP from this address; light-my-request plays the socket. */
const from = (remoteAddress: string, method: 'GET' | 'PUT' | 'POST', url: string, headers: Record<string, string> = {}) =>
  app.inject({ remoteAddress, method, url, headers })

const ROUTES = [
  ['PUT', '/mdm'], ['PUT', '/mdm/checkin'], ['PUT', '/mdm/connect'], ['GET', '/mdm'],
  ['GET', '/scep?operation=GetCACaps'], ['POST', '/scep?operation=PKIOperation'],
  ['GET', '/e/token'], ['GET', '/e/token/profile'], ['POST', '/e/token/profile'], ['GET', '/enroll'],
] as const

describe('plain HTTP from afar', () => {
  it.each(ROUTES)('is refused at %s %s, whatever it claims about where it came from', async (method, url) => {
    for (const address of ['192.0.2.7', '::ffff:192.0.2.7', '2001:db8::1', 'fe80::1%eth0']) {
      const claims = { 'x-forwarded-proto': 'https', 'x-forwarded-for': '198.51.100.1', forwarded: 'for=127.0.0.1;proto=https' }
      const answer = await from(address, method, url, claims)
      expect(answer.statusCode).toBe(400)
    }
  })

  it('is refused before the body is read, and under its own name in the log', async () => {
    lines.length = 0
    const answer = await app.inject({ remoteAddress: '192.0.2.7', method: 'PUT', url: '/mdm', payload: Buffer.alloc(9 * 1024 * 1024) })
    expect([answer.statusCode, answer.body]).toEqual([400, ''])
    expect(lines).toMatchObject([{ msg: 'device_refused', reason: 'plain_http', status: 400 }])
  })

  it('is told to people on a page that is no server error', async () => {
    lines.length = 0
    const answer = await from('192.0.2.7', 'GET', '/e/token')
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([400, 'text/html; charset=utf-8'])
    expect(answer.body).toContain('https://')
    expect(lines).toMatchObject([{ level: 30, reason: 'plain_http' }])
  })
})

describe('plain HTTP from this machine or a trusted proxy', () => {
  it.each([
    '127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1', '198.51.100.9', '::ffff:198.51.100.9', 'fd00::7',
  ])('is answered to %s', async (address) => {
    expect((await from(address, 'GET', '/scep?operation=GetCACaps')).statusCode).toBe(200)
    expect((await from(address, 'GET', '/mdm')).statusCode).toBe(405)
    expect((await from(address, 'GET', '/e/token')).statusCode).toBe(404)
  })
})
