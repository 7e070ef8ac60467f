// Where each line of the contract of NanoMDM's API is proven (what differs is in docs/nanomdm.md):
//   who may enter, /version, NanoHUB's paths, no key, off   here
//   pushcert: PEM, topic, GET, methods                       compat-pushcert.test.ts
//   the result object, statuses, ids in the path, push       compat-push.test.ts
//   enqueue: bodies, nopush, one CommandUUID, exact bytes    compat-enqueue.test.ts
//   escrowkeyunlock: the split of the form, Apple's answer   compat-escrow.test.ts
//   migration: order, association, what it never touches     compat-migration.test.ts
//   curl, pipes, bramley plist                               compat-scripts.test.ts
//   webhook: JSON, HMAC, tally, order, retries               ../features/webhook.test.ts
//   statuses to devices: bad signature, no or another certificate, unknown message, no Status: device-attacks, samples,
//   device-identity-modes; UserAuthenticate: checkin-messages (410) and network-users; tokens entrusted: checkin-messages
//   the queue: order, NotNow, repeats, what ends it          ../features/commands.test.ts
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { KEY, startBramley, type TestServer } from '../support/bramley.ts'
import { basic, call, command, keyWith, queued } from '../support/compat.ts'
import { ownCluster } from '../support/pg.ts'
import { enrolledDevice, type RawDevice } from '../support/raw-device.ts'

let server: TestServer
let first: RawDevice
beforeAll(async () => {
  server = await startBramley()
  first = await enrolledDevice(server, '00008150-00000000000A')
})
afterAll(() => server.stop())
// The pushes that follow enrolling would be counted here and eat the faults that a test asks for.
beforeEach(() => server.db.query('delete from push_wakes'))

describe('who may enter', () => {
  it('answers a wrong key as upstream does', async () => {
    const answer = await call(server, 'GET', `/v1/push/${first.udid}`, undefined, basic('nanomdm', 'wrong'))
    expect(answer.status).toBe(401)
    expect(answer.headers['www-authenticate']).toBe('Basic realm="nanomdm"')
    expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8')
    expect(answer.body.toString()).toBe('Unauthorized\n')
  })

  it.each(['nanomdm', 'nanohub', 'micromdm'])('lets the user name %s in with the key as password', async (user) => {
    expect((await call(server, 'GET', `/v1/push/${first.udid}`, undefined, basic(user))).status).toBe(200)
  })

  it('takes the key as Bearer too', async () => {
    expect((await call(server, 'GET', `/v1/push/${first.udid}`, undefined, { authorization: `Bearer ${KEY}` })).status).toBe(200)
  })

  it('refuses other user names, no credentials, and keys without the scope compat, admin or not', async () => {
    const admin = await keyWith(server, 'admin')
    for (const headers of [basic('root'), { authorization: '' }, basic('nanomdm', admin)]) {
      expect((await call(server, 'GET', `/v1/push/${first.udid}`, undefined, headers)).status).toBe(401)
    }
  })

  it('stores nothing for a stranger', async () => {
    await call(server, 'PUT', `/v1/enqueue/${first.udid}?nopush=1`, command('stranger'), basic('nanomdm', 'wrong'))
    expect(await queued(server, first.udid)).not.toContain('stranger')
  })
})

describe('/version', () => {
  it.each(['GET', 'PUT', 'POST', 'DELETE'])('is compact JSON without a key, by %s', async (method) => {
    const answer = await server.http(method, '/version')
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json'])
    expect(answer.body.toString()).toMatch(/^\{"version":"[^"]+"\}$/)
  })
})

describe('NanoHUB’s paths', () => {
  it('are the same API', async () => {
    await server.db.query('delete from push_wakes')
    const hub = basic('nanohub')
    expect((await call(server, 'GET', `/api/v1/nanomdm/push/${first.udid}`, undefined, hub)).status).toBe(200)
    const uuid = 'HUB-1'
    expect((await call(server, 'PUT', `/api/v1/nanomdm/enqueue/${first.udid}?nopush=1`, command(uuid), hub)).json()).toEqual({
      no_push: true, command_uuid: uuid, request_type: 'ProfileList',
    })
    expect(await queued(server, first.udid)).toContain(uuid)
    expect((await call(server, 'GET', '/api/v1/nanomdm/pushcert', undefined, hub)).status).toBe(400)
    expect((await call(server, 'POST', '/api/v1/nanomdm/escrowkeyunlock', '', hub)).status).toBe(400)
    expect((await call(server, 'GET', '/api/v1/nanomdm/pushcert', undefined, basic('nanohub', 'wrong'))).status).toBe(401)
  })
})

describe('while the database is away', () => {
  it('the answer is 503 and when to ask again', async () => {
    const cluster = await ownCluster()
    const db = { url: cluster.url('bramley'), query: async () => [], drop: async () => undefined }
    const other = await startBramley({ db, pushCertificate: false })
    await cluster.stopImmediate()
    for (const path of ['/v1/push/A', '/v1/pushcert?topic=x', '/migration']) {
      const answer = await call(other, 'GET', path)
      expect([answer.status, answer.headers['retry-after'], answer.body.toString()]).toEqual([503, '5', 'Service Unavailable\n'])
    }
    await other.stop()
    await cluster.destroy()
  })
})

describe('without a key that has the scope compat', () => {
  let other: TestServer
  beforeAll(async () => {
    other = await startBramley({ pushCertificate: false })
  })
  afterAll(() => other.stop())

  it('nothing is here', async () => {
    await other.db.query(`update api_keys set scopes = array_remove(scopes, 'compat')`)
    for (const path of ['/v1/push/A', '/v1/enqueue/A', '/v1/pushcert', '/v1/escrowkeyunlock', '/migration', '/api/v1/nanomdm/push/A']) {
      expect((await other.http('GET', path, { headers: basic() })).status).toBe(404)
    }
    await other.db.query(`update api_keys set scopes = array_append(scopes, 'compat')`)
    expect((await other.http('GET', '/v1/pushcert?topic=x', { headers: basic('nanomdm', 'wrong') })).status).toBe(401)
    await other.db.query(`update api_keys set expires_at = now()`)
    expect((await other.http('GET', '/v1/pushcert?topic=x', { headers: basic() })).status).toBe(404)
  })
})

describe('with BRAMLEY_COMPAT=off', () => {
  it('nothing is here for anybody', async () => {
    const other = await startBramley({ pushCertificate: false, settings: { BRAMLEY_COMPAT: 'off' } })
    const answer = await other.http('GET', '/v1/pushcert?topic=x', { headers: basic() })
    await other.stop()
    expect(answer.status).toBe(404)
  })
})
