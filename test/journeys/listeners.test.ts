import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startApnsStandIn, type ApnsStandIn } from '../../src/simulator/apns-stand-in.ts'
import { enrollDevice } from '../../src/simulator/index.ts'
import { send, uploadPushCertificate, type Answer, type TestServer } from '../support/bramley.ts'
import { furnished, meet } from '../support/meet.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'
import { startServer, type ServerProcess } from '../support/process.ts'
import { enrolledDevice } from '../support/raw-device.ts'

/** An address of this machine that is not loopback, as another machine of its network has one; [] on a machine without network. */
const OUTSIDE = Object.values(networkInterfaces()).flat()
  .flatMap((one) => (one && !one.internal && one.family === 'IPv4' ? [one.address] : [])).slice(0, 1)

let apns: ApnsStandIn
let database: FreshDatabase
/** The place of the first server, whose secret key the second one needs. */
let first: ReturnType<typeof furnished>
beforeAll(async () => {
  apns = await startApnsStandIn()
  database = await freshDatabase()
  first = furnished(apns)
})
afterAll(async () => {
  await apns.close()
  await database.drop()
})

const get = (base: string, path: string): Promise<Answer> => send(base, undefined, 'GET', path, { headers: { connection: 'close' } })
const statuses = async (base: string, paths: string[]) => Promise.all(paths.map(async (path) => (await get(base, path)).status))
const DEVICE_PATHS = ['/mdm', '/scep?operation=GetCACaps', '/e/nothing-here', '/enroll']

describe('behind a proxy that ends TLS (BRAMLEY_TLS=off)', () => {
  let server: ServerProcess
  let client: TestServer
  let port: number
  beforeAll(async () => {
    server = await startServer({
      databaseUrl: database.url, dataFolder: first.dataFolder, env: { ...first.env, BRAMLEY_TLS: 'off', BRAMLEY_LISTEN: '0.0.0.0:0' },
    })
    port = Number(new URL(server.url).port)
    client = meet(() => `http://127.0.0.1:${port}`, apns)
    await uploadPushCertificate(client, apns)
  })
  afterAll(async () => {
    server.kill('SIGTERM')
    await server.exited
  })

  it('a device of this machine goes its whole way over plain HTTP', async () => {
    const device = await enrolledDevice(client, '00008120-0000000000000020')
    const queued = await client.api('POST', `/devices/${device.udid}/commands`, { type: 'ProfileList' })
    const command = (await device.idle()) ?? {}
    expect(command['CommandUUID']).toBe(queued.json()['command_uuid'])
    expect(await device.acknowledge(command, { ProfileList: [] })).toBeUndefined()
    expect((await client.api('GET', `/commands?type=ProfileList`)).json<{ data: object[] }>().data).toMatchObject([{ state: 'acknowledged' }])
  })

  it('a simulated phone does so too, as the demo’s phones must', async () => {
    const phone = await enrollDevice({ url: `http://127.0.0.1:${port}`, link: await client.link() })
    const { udid } = phone.hardware
    await client.api('POST', `/devices/${udid}/commands`, { type: 'ProfileList' })
    expect((await phone.poll()).map(({ requestType }) => requestType)).toEqual(['ProfileList'])
    expect((await client.api('GET', `/devices/${udid}/commands`)).json<{ data: object[] }>().data).toMatchObject([{ state: 'acknowledged' }])
    await phone.stop()
  })

  it('opens no second plain listener and makes no certificate', async () => {
    expect(server.httpUrl).toBe('')
    expect(new URL(server.url).protocol).toBe('http:')
  })

  it.each(OUTSIDE)('a device that comes from %s without TLS is refused on every route', async (address) => {
    const base = `http://${address}:${port}`
    expect(await statuses(base, DEVICE_PATHS)).toEqual([400, 400, 400, 400])
    expect(await statuses(base, ['/healthz', '/api/v1/me'])).toEqual([200, 401])
    const headers = { 'x-forwarded-proto': 'https', 'x-forwarded-for': '127.0.0.1' }
    expect((await send(base, undefined, 'GET', '/scep?operation=GetCACaps', { headers })).status).toBe(400)
  })

  it('shows its metrics on their own listener only', async () => {
    const metrics = await get(server.metricsUrl, '/metrics')
    expect([metrics.status, metrics.headers['content-type']]).toEqual([200, expect.stringContaining('text/plain')])
    for (const name of ['bramley_build_info{version=', 'bramley_http_requests_total{', 'process_cpu_seconds_total']) {
      expect(metrics.body.toString()).toContain(name)
    }
    expect(await statuses(server.metricsUrl, ['/mdm', '/api/v1/me', '/healthz'])).toEqual([404, 404, 404])
    expect(await statuses(`http://127.0.0.1:${port}`, ['/metrics'])).toEqual([404])
  })
})

describe('with doors apart (BRAMLEY_ADMIN_LISTEN) and a trusted proxy', () => {
  let server: ServerProcess
  let admin: string
  let port: number
  beforeAll(async () => {
    server = await startServer({
      databaseUrl: database.url,
      env: {
        BRAMLEY_SECRET_KEY_FILE: join(first.dataFolder, 'secret.key'),
        BRAMLEY_TLS: 'off', BRAMLEY_LISTEN: '0.0.0.0:0', BRAMLEY_ADMIN_LISTEN: '127.0.0.1:0',
        BRAMLEY_TRUSTED_PROXIES: [...OUTSIDE, '198.51.100.0/24'].join(','),
      },
    })
    port = Number(new URL(server.url).port)
    admin = String((await server.line((line) => line['msg'] === 'ready'))['adminListen'])
  })
  afterAll(async () => {
    server.kill('SIGTERM')
    await server.exited
  })

  it('the device listener has no API', async () => {
    const base = `http://127.0.0.1:${port}`
    expect(await statuses(base, ['/api/v1/me', '/api/v1/devices', '/api/v1/openapi.json', '/api/v1/setup'])).toEqual([404, 404, 404, 404])
    expect(await statuses(base, ['/mdm', '/scep?operation=GetCACaps', '/healthz'])).toEqual([405, 200, 200])
  })

  it('the API listener has nothing for devices', async () => {
    expect(await statuses(admin, [...DEVICE_PATHS, '/e/nothing-here/profile'])).toEqual([404, 404, 404, 404, 404])
    expect(await statuses(admin, ['/api/v1/me', '/api/v1/openapi.json', '/healthz'])).toEqual([401, 200, 200])
  })

  it.each(OUTSIDE)('a device that comes through the proxy at %s is welcome without TLS', async (address) => {
    expect(await statuses(`http://${address}:${port}`, DEVICE_PATHS)).toEqual([405, 200, 404, 200])
  })
})
