import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Signer } from '../../src/apple/wire/cms-sign.ts'
import { writeCertificatePem } from '../../src/apple/wire/pem.ts'
import { encodePlist } from '../../src/apple/wire/plist-writer.ts'
import { startApnsStandIn, type ApnsStandIn } from '../../src/simulator/apns-stand-in.ts'
import { certificateAuthority, certify } from '../support/attacks.ts'
import { KEY, until, uploadPushCertificate, type TestServer } from '../support/bramley.ts'
import { load, type Loaded } from '../support/load.ts'
import { furnished, meet } from '../support/meet.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'
import { runBramley, startServer, type LogLine, type ServerProcess } from '../support/process.ts'
import { enrolledDevice, REPORT, signatureOf, uuidOf, type RawDevice } from '../support/raw-device.ts'

const WORKERS = { BRAMLEY_WORKERS: '2' }

let apns: ApnsStandIn
beforeAll(async () => {
  apns = await startApnsStandIn()
})
afterAll(() => apns.close())

/** Starts a server of two workers, with its push certificate. */
async function start(databaseUrl: string, env: Record<string, string> = {}): Promise<{ server: ServerProcess; client: TestServer }> {
  const place = furnished(apns)
  const server = await startServer({ ...place, databaseUrl, env: { ...place.env, ...WORKERS, ...env } })
  const client = meet(() => server.httpUrl, apns)
  await uploadPushCertificate(client, apns)
  return { server, client }
}

const readyLines = (server: ServerProcess) => server.lines.filter(({ msg }) => msg === 'worker ready')
const pidOf = ({ pid }: LogLine) => Number(pid)
const isThere = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
/** Which workers wrote such lines, from the `skip`th on. */
const writersOf = (server: ServerProcess, msg: string, skip = 0) =>
  [...new Set(server.lines.slice(skip).filter((line) => line.msg === msg).map(({ worker }) => Number(worker)))].toSorted((a, b) => a - b)

/** Asks once more when the connection broke, as devices do. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ECONNRESET')) throw error
    return patiently(ask)
  }
}

describe('a server of two workers', () => {
  let database: FreshDatabase
  let server: ServerProcess
  let client: TestServer
  let device: RawDevice
  beforeAll(async () => {
    database = await freshDatabase()
    ;({ server, client } = await start(database.url))
    device = await enrolledDevice(client, '00008120-00000000000000A1')
  })
  afterAll(async () => {
    server.kill('SIGKILL')
    await server.exited
    await database.drop()
  })

  const queue = async (index: number) => {
    const body = { type: 'DeviceInformation', params: { Queries: [`Q${index}`] }, force: true }
    return (await client.api('POST', `/devices/${device.udid}/commands`, body)).json<{ command_uuid: string }>().command_uuid
  }

  it('says that it is ready when both are', () => {
    const at = server.lines.findIndex(({ msg }) => msg === 'ready')
    expect(server.lines.slice(0, at).filter(({ msg }) => msg === 'worker ready').map(({ worker }) => Number(worker)).toSorted((a, b) => a - b)).toEqual([1, 2])
    expect(new Set([server.pid, ...readyLines(server).map(pidOf)]).size).toBe(3)
  })

  it('lets both serve: phones enroll and get their commands in order, whoever of the two they meet', async () => {
    const queued: string[] = []
    for (let index = 0; index < 8; index++) queued.push(await queue(index))
    const done: string[] = []
    for (let command = await device.idle(); command; command = await device.acknowledge(command, { QueryResponses: {} })) done.push(uuidOf(command))
    expect(done).toEqual(queued)
    expect([writersOf(server, 'request'), writersOf(server, 'poll')]).toEqual([[1, 2], [1, 2]])
  })

  it('counts what both have done on one page of metrics', async () => {
    for (let turn = 0; turn < 10; turn++) expect((await client.api('GET', '/me')).status).toBe(200)
    const page = await (await fetch(`${server.metricsUrl}/metrics`)).text()
    expect(page).toContain('bramley_http_requests_total{route="/api/v1/me",method="GET",code="200"} 10\n')
    expect(page).toContain('bramley_checkins_total{message="TokenUpdate",result="accepted"} 1\n')
    expect(page).toMatch(/^bramley_build_info\{version="[^"]+"\} 1$/m)
    expect(page).toMatch(/^nodejs_eventloop_lag_seconds /m)
  })

  it('replaces one that is killed: no other answer than before, nothing lost, nothing out of order', async () => {
    const before = server.lines.length
    const [victim] = readyLines(server)
    const idle = encodePlist({ UDID: device.udid, Status: 'Idle' })
    const signed = { 'content-type': REPORT, 'mdm-signature': signatureOf(idle, device.identity) }
    const authorized = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' }
    const links = load(server.httpUrl, 4, (name) => ({ method: 'POST', path: '/api/v1/enrollment-links', headers: authorized, body: JSON.stringify({ name }) }), 40)
    const polls = load(server.httpUrl, 4, () => ({ method: 'PUT', path: '/mdm', headers: signed, body: idle }), 40)
    const queued: string[] = []
    for (let index = 0; index < 4; index++) queued.push(await patiently(() => queue(100 + index)))
    process.kill(pidOf(victim!), 'SIGKILL')
    await Promise.all([links.ended, polls.ended])
    expect([0, -1, 201, 503]).toEqual(expect.arrayContaining([...new Set(links.outcomes.values())]))
    expect([0, -1, 200, 503]).toEqual(expect.arrayContaining([...new Set(polls.outcomes.values())]))
    const stored = new Set((await database.query<{ name: string }>(`select name from enrollment_links where name like 'client %'`)).map(({ name }) => name))
    expect([...links.outcomes].filter(([name, outcome]) => outcome === 201 && !stored.has(name))).toEqual([])
    const done: string[] = []
    for (let command = await patiently(() => device.idle()); command; command = await device.acknowledge(command, { QueryResponses: {} })) done.push(uuidOf(command))
    expect(done).toEqual(queued)
    await until(async () => readyLines(server).length === 3, 'the other one')
    expect(server.lines.slice(before).find(({ msg }) => msg === 'a worker ended; starting another'))
      .toMatchObject({ level: 'error', worker: victim?.['worker'], pid: victim?.['pid'], signal: 'SIGKILL', pauseMs: 0 })
    expect(readyLines(server)[2]).toMatchObject({ worker: victim?.['worker'] })
    expect(pidOf(readyLines(server)[2]!)).not.toBe(pidOf(victim!))
    const after = server.lines.length
    for (let turn = 0; turn < 6; turn++) expect((await client.api('GET', '/me')).status).toBe(200)
    await until(async () => writersOf(server, 'request', after).length === 2, 'both to serve')
  })

  it('writes whole JSON lines, although three processes write them to one pipe', () => {
    expect(server.said.stdout.length).toBeGreaterThan(100)
    for (const line of server.said.stdout) expect(JSON.parse(line)).toMatchObject({ level: expect.any(String), msg: expect.any(String) })
  })
})

describe('a server of two workers that is told to stop under load', () => {
  let database: FreshDatabase
  let server: ServerProcess
  let links: Loaded
  let workers: number[]
  let exit: unknown
  beforeAll(async () => {
    database = await freshDatabase()
    ;({ server } = await start(database.url))
    workers = readyLines(server).map(pidOf)
    const authorized = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' }
    links = load(server.httpUrl, 8, (name) => ({ method: 'POST', path: '/api/v1/enrollment-links', headers: authorized, body: JSON.stringify({ name }) }))
    await until(async () => links.outcomes.size > 60, 'the load')
    // A terminal and systemd tell every process of the group, the workers perhaps first.
    for (const pid of workers) process.kill(pid, 'SIGTERM')
    await until(async () => links.outcomes.size > 120, 'more of the load')
    server.kill('SIGTERM')
    exit = await server.exited
    await links.ended
  })
  afterAll(() => database.drop())

  it('ends with 0, and leaves no worker', () => {
    expect(exit).toEqual({ code: 0, signal: null })
    expect(workers.filter(isThere)).toEqual([])
    expect(server.lines.filter(({ msg }) => msg === 'a worker ended; starting another')).toEqual([])
  })

  it('answers every request that it accepted, whole', async () => {
    expect([0, 201, 503]).toEqual(expect.arrayContaining([...new Set(links.outcomes.values())]))
    const stored = await database.query<{ name: string }>(`select name from enrollment_links where name like 'client %' order by name collate "C"`)
    const told = [...links.outcomes].filter(([, outcome]) => outcome === 201).map(([name]) => name)
    expect(told.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(stored.map(({ name }) => name))
  })
})

describe('several workers', () => {
  let database: FreshDatabase
  beforeEach(async () => {
    database = await freshDatabase()
  })
  afterEach(() => database.drop())

  it('are told to stop, and still answer who waits for the database; then the server ends with 0', async () => {
    const { server, client } = await start(database.url)
    const lock = new pg.Client({ connectionString: database.url })
    await lock.connect()
    await lock.query('begin')
    await lock.query('lock table enrollment_links in exclusive mode')
    const asked = [1, 2].map((number) => client.api('POST', '/enrollment-links', { name: `patient ${number}` }))
    const waiting = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    await until(async () => (await database.query(waiting)).length === 2, 'both to wait')
    server.kill('SIGTERM')
    await until(() => client.http('GET', '/healthz').then(() => false, () => true), 'the listener to be closed')
    await lock.query('commit')
    await lock.end()
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([201, 201])
    expect(await server.exited).toEqual({ code: 0, signal: null })
    expect(await database.query(`select 1 from enrollment_links where name like 'patient %'`)).toHaveLength(2)
  })

  it('all follow the TLS files when the server is told to look (SIGHUP)', async () => {
    const root = certificateAuthority()
    const place = furnished(apns)
    const files = { BRAMLEY_TLS: 'files', BRAMLEY_TLS_CERT: join(place.dataFolder, 'cert.pem'), BRAMLEY_TLS_KEY: join(place.dataFolder, 'key.pem') }
    const put = ({ certificate, key }: Signer) => {
      writeFileSync(files.BRAMLEY_TLS_CERT, writeCertificatePem(certificate.der))
      writeFileSync(files.BRAMLEY_TLS_KEY, key.export({ format: 'pem', type: 'pkcs8' }))
    }
    const pair = () => certify({ issuer: root, profile: 'server', names: [{ ip: '127.0.0.1' }] })
    put(pair())
    const server = await startServer({ ...place, databaseUrl: database.url, env: { ...place.env, ...WORKERS, ...files } })
    put(pair())
    server.kill('SIGHUP')
    await until(async () => writersOf(server, 'tls_reloaded').length === 2, 'both to reload')
    expect(writersOf(server, 'tls_reloaded')).toEqual([1, 2])
    server.kill('SIGTERM')
    expect(await server.exited).toEqual({ code: 0, signal: null })
  })

  it('do not begin where one cannot, and the reason is one line', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => taken.once('listening', resolve))
    const { port } = taken.address() as AddressInfo
    const refused = await runBramley(['serve'], { databaseUrl: database.url, env: { ...WORKERS, BRAMLEY_LISTEN: `127.0.0.1:${port}` } })
    taken.close()
    expect([refused.code, refused.stderr.split('\n').filter((line) => line.startsWith('bramley: '))]).toEqual([1, [expect.stringContaining('EADDRINUSE')]])
  })

  it('share one embedded PostgreSQL, one set of secrets, and one simulator with its phones', async () => {
    const place = furnished(apns)
    const server = await startServer({ ...place, env: { ...place.env, ...WORKERS, BRAMLEY_SIMULATOR: '1' } })
    const client = meet(() => server.httpUrl, apns)
    expect(server.said.stderr.filter((line) => /✔ (Secrets|Push|Workers)/.test(line))).toEqual([
      expect.stringContaining('secret.key created'), expect.stringContaining('simulator mode'), expect.stringContaining('2 processes'),
    ])
    const shown = async () => (await client.api('GET', '/simulator/devices')).json<{ data: { serial_number: string; state: string }[] }>().data
    expect((await client.api('POST', '/simulator/devices', { sample: true })).status).toBe(202)
    expect((await client.api('POST', '/simulator/devices', { sample: true })).json()).toEqual({ data: [] })
    await until(async () => (await shown()).filter(({ state }) => state === 'enrolled').length === 6, 'the six')
    expect(await shown()).toEqual(await shown())
    const { id } = (await client.api('POST', '/devices/DMQVGC0DHLF0/commands', { type: 'ProfileList' })).json<{ id: string }>()
    await until(async () => (await client.api('GET', `/commands/${id}`)).json<{ state: string }>().state === 'acknowledged', 'the push and the answer')
    expect((await client.api('PATCH', '/simulator/devices/DMQVGC0DHLF1', { behaviour: 'offline' })).json()).toMatchObject({ behaviour: 'offline' })
    for (let turn = 0; turn < 2; turn++) expect((await client.api('DELETE', '/simulator/devices/NOBODY')).status).toBe(404)
    expect((await client.api('DELETE', '/simulator/devices/DMQVGC0DHLF5')).json<{ data: unknown[] }>().data).toHaveLength(5)
    expect(readFileSync(join(place.dataFolder, 'secret.key'), 'utf8')).toMatch(/^\S{44}\n$/)
    server.kill('SIGINT')
    expect(await server.exited).toEqual({ code: 0, signal: null })
  })
})
