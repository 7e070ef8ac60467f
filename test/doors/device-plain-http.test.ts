import Fastify, { type FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodePlist } from '../../src/apple/wire/plist-writer.ts'
import type { Deps } from '../../src/base/deps.ts'
import { deviceDoor } from '../../src/doors/device/index.ts'
import { startSightings } from '../../src/features/enrollments/index.ts'
import { loadAuthorities } from '../../src/features/identity/index.ts'
import { dumpTables } from '../support/bramley.ts'
import { testDeps } from '../support/deps.ts'
import { MODES } from '../support/modes.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'
import { REPORT } from '../support/raw-device.ts'

// Only here is the door without its house: a test on one machine has no other address to come from.
let database: FreshDatabase
let deps: Deps
let app: FastifyInstance
const logs: Record<string, unknown>[] = []

async function open(settings: Record<string, string>): Promise<void> {
  database = await freshDatabase()
  deps = testDeps(database.url, { settings, log: pino({ level: 'debug' }, { write: (line: string) => void logs.push(JSON.parse(line)) }) })
  app = Fastify({ logger: false })
  await app.register(deviceDoor(deps, { authorities: await loadAuthorities(deps), sightings: startSightings(deps) }))
}

afterEach(async () => {
  await app.close()
  await deps.db.close()
  await database.drop()
})
beforeEach(() => void logs.splice(0))

describe.each(MODES)('$mode', ({ settings }) => {
  const idle = encodePlist({ Status: 'Idle', UDID: '00008120-00000000000A' })
  /** Why a poll over plain HTTP from this address is refused; it shows no identity at all. */
  const reasonFor = async (remoteAddress: string, forwarded?: string) => {
    const before = await dumpTables(database)
    const headers = { 'content-type': REPORT, ...(forwarded !== undefined && { 'x-forwarded-for': forwarded, 'x-forwarded-proto': 'https' }) }
    const answer = await app.inject({ method: 'PUT', url: '/mdm', remoteAddress, headers, payload: idle })
    expect([answer.statusCode, answer.body]).toEqual([400, ''])
    expect(await dumpTables(database)).toEqual(before)
    return logs.at(-1)?.['reason']
  }

  it('15: what could be captured on the way is not accepted: plain HTTP only from this machine and from trusted proxies', async () => {
    await open({ ...settings, BRAMLEY_TRUSTED_PROXIES: '127.0.0.1,192.0.2.0/24' })
    expect(await reasonFor('203.0.113.9')).toBe('plain_http')
    expect(await reasonFor('203.0.113.9', '127.0.0.1')).toBe('plain_http')
    expect(await reasonFor('2001:db8::9', '192.0.2.7')).toBe('plain_http')
    expect(await reasonFor('192.0.2.7')).toBe('no_certificate')
    expect(await reasonFor('::ffff:192.0.2.7')).toBe('no_certificate')
    expect(await reasonFor('127.0.0.1')).toBe('no_certificate')
  })
})
