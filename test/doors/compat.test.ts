import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { KEY, startBramley, type TestServer } from '../support/bramley.ts'
import { basic, call, command, keyWith, queued } from '../support/compat.ts'
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
  it('is compact JSON without a key', async () => {
    const answer = await server.http('GET', '/version')
    expect(answer.body.toString()).toMatch(/^\{"version":"[^"]+"\}$/)
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
    for (const path of ['/v1/push/A', '/v1/enqueue/A', '/v1/pushcert']) {
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
