import Fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Deps } from '../../src/base/deps.ts'
import { counted } from '../../src/base/metrics.ts'
import { metricsDoor } from '../../src/doors/metrics.ts'
import { adminApp, ask, keyWith } from '../support/admin-app.ts'
import { testDeps } from '../support/deps.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'

let database: FreshDatabase
let deps: Deps
let metrics: FastifyInstance

beforeAll(async () => {
  database = await freshDatabase()
  deps = testDeps(database.url)
  metrics = Fastify({ logger: false })
  await metrics.register(metricsDoor(deps))
})

afterAll(async () => {
  await metrics.close()
  await deps.db.close()
  await database.drop()
})

const read = async () => (await metrics.inject('/metrics')).body

it('speaks the text format of Prometheus, with the version and Node figures', async () => {
  const answer = await metrics.inject('/metrics')
  expect(answer.headers['content-type']).toContain('text/plain; version=0.0.4')
  expect(answer.body).toContain('bramley_build_info{version="0.1.0"} 1')
  expect(answer.body).toContain('nodejs_eventloop_lag_seconds')
  expect(answer.body).toMatch(/^bramley_db_pool_connections\{state="waiting"\} 0$/m)
})

it('counts each kind of happening in one line at its place', async () => {
  counted.checkin('Authenticate', 'accepted')
  counted.connect('NotNow')
  counted.command('DeviceLock', 'acknowledged')
  counted.push('BadDeviceToken', true)
  counted.scep('issued')
  const text = await read()
  for (const line of [
    'bramley_checkins_total{message="Authenticate",result="accepted"} 1', 'bramley_connects_total{status="NotNow"} 1',
    'bramley_commands_total{type="DeviceLock",state="acknowledged"} 1',
    'bramley_scep_requests_total{result="issued"} 1',
    'bramley_push_requests_total{result="BadDeviceToken",simulated="true"} 1',
  ]) expect(text).toContain(line)
})

it('counts requests by template and refused keys by problem code, never by what was sent', async () => {
  const app = await adminApp(deps)
  const { token } = await keyWith(deps, 'admin', 'compat')
  await ask(app, token, 'DELETE', '/api-keys/key_nobody')
  await ask(app, 'brm_live_wrong', 'GET', '/me')
  await app.inject('/api/v1/stranger-chose-this')
  const text = await read()
  expect(text).toContain('bramley_http_requests_total{route="/api/v1/api-keys/:id",method="DELETE",code="404"} 1')
  expect(text).toContain('bramley_http_request_duration_seconds_count{route="/api/v1/me",method="GET"} 1')
  expect(text).toContain('bramley_http_requests_total{route="unmatched",method="GET",code="404"} 1')
  expect(text).toContain('bramley_auth_failures_total{kind="unauthenticated"} 1')
  expect(text).not.toMatch(/stranger-chose|key_nobody/)
  await app.close()
})
