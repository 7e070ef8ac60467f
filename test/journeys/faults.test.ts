import { randomBytes, randomUUID } from 'node:crypto'
import { writeFileSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { startApnsStandIn, type ApnsStandIn } from '../../src/simulator/apns-stand-in.ts'
import { KEY, send, TOPIC, until, uploadPushCertificate, type Answer, type TestServer } from '../support/bramley.ts'
import { ownCluster, type OwnCluster } from '../support/pg.ts'
import { startServer, type ServerProcess } from '../support/process.ts'
import { startProxy, type CuttingProxy } from '../support/proxy.ts'
import { askScep, downloadProfile, enrolledDevice, obtainIdentity, rawDevice, type RawDevice } from '../support/raw-device.ts'

/** Rounds of each fault with each kind of kill; the long form (`npm run test:faults`) runs 20. */
const ROUNDS = Number(process.env['BRAMLEY_FAULT_ROUNDS'] ?? 1)
const KILLS = ['server', 'postgres'] as const
type Kill = (typeof KILLS)[number]

let cluster: OwnCluster
let apns: ApnsStandIn
let folder: string
let process_: ServerProcess
let proxy: CuttingProxy
/** The server as devices and scripts meet it: straight, or through the proxy. */
let server: TestServer
let viaProxy: TestServer

beforeAll(async () => {
  cluster = await ownCluster()
  apns = await startApnsStandIn()
  folder = mkdtempSync(join(inject('runFolder'), 'faults-'))
  writeFileSync(join(folder, 'key'), KEY)
  writeFileSync(join(folder, 'apns-ca.pem'), apns.caPem)
  await start()
  proxy = await startProxy(() => Number(new URL(process_.httpUrl).port))
  server = meet(() => process_.httpUrl)
  viaProxy = meet(() => proxy.url)
  expect((await uploadPushCertificate(server, apns)).status).toBe(201)
})

afterAll(async () => {
  await proxy.close()
  process_.kill('SIGKILL')
  await process_.exited
  await apns.close()
  await cluster.destroy()
})

async function start(): Promise<void> {
  process_ = await startServer({
    databaseUrl: cluster.url(),
    dataFolder: folder,
    env: {
      BRAMLEY_PUBLIC_URL: 'https://mdm.example.com', BRAMLEY_APNS_HOST: '127.0.0.1', BRAMLEY_APNS_PORT: String(apns.port),
      BRAMLEY_APNS_CA: join(folder, 'apns-ca.pem'), BRAMLEY_BOOTSTRAP_TOKEN_FILE: join(folder, 'key'),
    },
  })
}

/** As much of a TestServer as a raw device needs, over whatever address is right at the moment. */
function meet(base: () => string): TestServer {
  const http: TestServer['http'] = (method, path, o = {}) => send(base(), undefined, method, path, { ...o, headers: { connection: 'close', ...o.headers } })
  const api: TestServer['api'] = (method, path, body, headers = {}) => http(method, `/api/v1${path}`, {
    headers: { authorization: `Bearer ${KEY}`, ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const link = async (o = {}) => (await api('POST', '/enrollment-links', { name: 'Test', slug: randomUUID(), ...o })).json<{ url: string }>().url.split('/e/')[1] ?? ''
  return { http, api, link, apns } as TestServer
}

/** Kills one of the two without warning, and brings it back. */
async function kill(what: Kill): Promise<void> {
  if (what === 'postgres') {
    await cluster.stopImmediate()
    await cluster.start()
  } else {
    process_.kill('SIGKILL')
    await process_.exited
    await start()
  }
  await until(async () => (await server.http('GET', '/readyz')).status === 200, 'the server to be ready again')
}

async function query<R extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<R[]> {
  const client = new pg.Client({ connectionString: cluster.url() })
  await client.connect()
  try {
    return (await client.query<R>(sql, values)).rows
  } finally {
    await client.end()
  }
}

/** Holds locks as somebody at psql would; `release` may find its connection gone. */
async function hold(sql: string, values: unknown[] = []): Promise<{ waiters(): Promise<number>; release(): Promise<void> }> {
  const client = new pg.Client({ connectionString: cluster.url() })
  client.on('error', () => undefined)
  await client.connect()
  await client.query('begin')
  await client.query(sql, values)
  return {
    waiters: async () => (await query<{ n: number }>(`select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and application_name = 'bramley'`))[0]?.n ?? 0,
    release: () => client.end().catch(() => undefined),
  }
}

/** Starts a request that will wait for the held lock, kills, and tells what the client saw: an answer, or none. */
async function killWhileWaiting(what: Kill, lock: { sql: string; values?: unknown[] }, request: () => Promise<Answer>): Promise<number | undefined> {
  const held = await hold(lock.sql, lock.values)
  const seen = request().then((answer) => answer.status, () => undefined)
  await until(async () => (await held.waiters()) > 0, 'the request to wait for the lock')
  await kill(what)
  await held.release()
  return seen
}

/** Loses the answer to a request after `bytes`, kills, and makes sure that the client got nothing whole. */
async function killAfterCommit(what: Kill, bytes: number, request: () => Promise<Answer>): Promise<void> {
  const begun = proxy.cutNext(bytes)
  const seen = request().then((answer) => answer.status, () => undefined)
  await begun
  await kill(what)
  expect(await seen).toBeUndefined()
}

const newUdid = () => `00008120-${randomBytes(8).toString('hex').toUpperCase()}`
const through = (device: RawDevice, way: TestServer) => rawDevice(way, device.udid, device.identity)
const commandsOf = (udid: string) => query<{ id: string; command_uuid: string; state: string }>(
  `select c.id, c.command_uuid, c.state from (select enrollment_id, seq, id, command_uuid, state from commands
     union all select enrollment_id, seq, id, command_uuid, state from command_results) c
   join enrollments e on e.id = c.enrollment_id where e.device_key = $1 order by c.seq`, [udid])

async function acknowledged(device: RawDevice): Promise<{ id: string; command_uuid: string }> {
  const answer = await server.api('POST', `/devices/${device.udid}/commands`, { type: 'ProfileList' })
  expect(answer.status).toBe(202)
  return answer.json()
}

const rounds = Array.from({ length: ROUNDS }, (_, round) => round + 1)

describe.each(KILLS)('when %s is killed', (what) => {
  it.each(rounds)('F1: between the insert of a command and its commit, the command is absent or whole (round %i)', async () => {
    const device = await enrolledDevice(server, newUdid())
    const key = randomUUID()
    const enqueue = () => server.api('POST', `/devices/${device.udid}/commands`, { type: 'ProfileList' }, { 'idempotency-key': key })
    const status = await killWhileWaiting(what, { sql: 'lock table push_wakes in access exclusive mode' }, enqueue)
    expect([undefined, 500, 503]).toContain(status)
    expect(await commandsOf(device.udid)).toEqual([])
    const retried = await enqueue()
    expect(retried.status).toBe(202)
    expect((await commandsOf(device.udid)).map(({ id }) => id)).toEqual([retried.json<{ id: string }>().id])
    expect((await device.idle())?.['CommandUUID']).toBe(retried.json<{ command_uuid: string }>().command_uuid)
  })

  it.each(rounds)('F2: after the commit, before the answer, a retry with the same key gets the same command (round %i)', async () => {
    const device = await enrolledDevice(server, newUdid())
    const key = randomUUID()
    const body = { type: 'ProfileList' }
    await killAfterCommit(what, 0, () => viaProxy.api('POST', `/devices/${device.udid}/commands`, body, { 'idempotency-key': key }))
    const [stored] = await commandsOf(device.udid)
    const retried = await server.api('POST', `/devices/${device.udid}/commands`, body, { 'idempotency-key': key })
    expect([retried.status, retried.headers['idempotency-replayed'], retried.json<{ id: string }>().id]).toEqual([202, 'true', stored?.id])
    expect(await commandsOf(device.udid)).toHaveLength(1)
  })

  it.each(rounds.flatMap((round) => [[round, 'F3: before its bytes left', 0], [round, 'F4: amid its bytes', 10]] as const))(
    'a command that was handed out is offered again (round %i, %s)', async (_round, _fault, bytes) => {
    const device = await enrolledDevice(server, newUdid())
    const { command_uuid } = await acknowledged(device)
    await killAfterCommit(what, bytes, () => through(device, viaProxy).report({ Status: 'Idle' }))
    expect(await commandsOf(device.udid)).toMatchObject([{ command_uuid, state: 'delivered' }])
    expect((await device.idle())?.['CommandUUID']).toBe(command_uuid)
  })

  it.each(rounds)('F5: while a report waits for its commit, the device sends it again, and there is one result (round %i)', async () => {
    const device = await enrolledDevice(server, newUdid())
    const [first, second] = [await acknowledged(device), await server.api('POST', `/devices/${device.udid}/commands`, { type: 'SecurityInfo' })]
    await device.idle()
    const report = () => device.report({ Status: 'Acknowledged', CommandUUID: first.command_uuid, ProfileList: [] })
    const status = await killWhileWaiting(what, { sql: 'lock table command_results in access exclusive mode' }, report)
    expect(status).not.toBe(200)
    // A report is one statement: PostgreSQL may finish it for a server that is gone, but never half of it.
    expect(what === 'postgres' ? ['delivered'] : ['delivered', 'acknowledged']).toContain((await commandsOf(device.udid))[0]?.state)
    const again = await report()
    expect([again.status, again.body.toString().includes(second.json<{ command_uuid: string }>().command_uuid)]).toEqual([200, true])
    expect((await commandsOf(device.udid)).map(({ state }) => state)).toEqual(['acknowledged', 'delivered'])
  })

  it.each(rounds)('F6: after a report’s commit, before the answer, the resent report has no second effect (round %i)', async () => {
    const device = await enrolledDevice(server, newUdid())
    const { command_uuid, id } = await acknowledged(device)
    await device.idle()
    const message = { Status: 'Acknowledged', CommandUUID: command_uuid, ProfileList: [] }
    await killAfterCommit(what, 0, () => through(device, viaProxy).report(message))
    const [before] = await query('select * from command_results where id = $1', [id])
    expect(before).toMatchObject({ state: 'acknowledged' })
    expect((await device.report(message)).status).toBe(200)
    expect((await query('select * from command_results where id = $1', [id]))[0]).toEqual(before)
    expect(await query(`select 1 from events where type = 'command.acknowledged' and data->>'command' = $1`, [id])).toHaveLength(1)
  })

  it.each(rounds)('F7: inside Authenticate or TokenUpdate, the old generation is whole or the new one is (round %i)', async () => {
    const device = await enrolledDevice(server, newUdid())
    const { id } = await acknowledged(device)
    const lock = { sql: 'lock table events in access exclusive mode' }
    expect(await killWhileWaiting(what, lock, () => device.authenticate())).not.toBe(200)
    const generation = () => query<{ state: string; generation: number; push_magic: string | null }>('select state, generation, push_magic from enrollments where device_key = $1', [device.udid])
    expect(await generation()).toMatchObject([{ state: 'enrolled', generation: 1 }])
    expect((await commandsOf(device.udid))[0]).toMatchObject({ id, state: 'queued' })
    expect((await device.authenticate()).status).toBe(200)
    expect(await generation()).toEqual([{ state: 'identity_issued', generation: 2, push_magic: null }])
    expect(await killWhileWaiting(what, lock, () => device.tokenUpdate())).not.toBe(200)
    expect(await generation()).toEqual([{ state: 'identity_issued', generation: 2, push_magic: null }])
    expect((await device.tokenUpdate()).status).toBe(200)
    expect(await generation()).toMatchObject([{ state: 'enrolled', generation: 2 }])
  })

  it.each(rounds)('F8: inside SCEP issuing, the challenge is unused without a certificate, or the resent request gets the same one (round %i)', async () => {
    const transactionId = randomBytes(16).toString('hex')
    const fresh = await downloadProfile(server, await server.link())
    const held = await hold('lock table events in access exclusive mode')
    const lost = askScep(server, fresh.scep.challenge, undefined, { transactionId }).then((rep) => rep.status, () => undefined)
    await until(async () => (await held.waiters()) > 0, 'SCEP to wait for the lock')
    const issued = () => query<{ n: number }>('select count(*)::int as n from certificates')
    const before = await issued()
    await kill(what)
    await held.release()
    expect(await lost).not.toBe('success')
    expect(await issued()).toEqual(before)
    const second = await askScep(server, fresh.scep.challenge, undefined, { transactionId })
    expect(second.status).toBe('success')
    expect((await issued())[0]?.n).toBe((before[0]?.n ?? 0) + 1)
    expect((await askScep(server, fresh.scep.challenge, undefined, { transactionId: 'another' })).status).toBe('failure')
  })
})

describe('after all the faults', () => {
  it('every command has one end or is open, and nothing is in both places', async () => {
    expect(await query('select id from commands intersect select id from command_results')).toEqual([])
    expect(await query(`select command_id, count(*) from (select data->>'command' as command_id from events
      where type in ('command.acknowledged', 'command.failed', 'command.cancelled', 'command.superseded', 'command.expired')) e group by 1 having count(*) > 1`)).toEqual([])
  })

  it('a device enrolled through all this still works', async () => {
    const { identity } = await obtainIdentity(server, await server.link())
    const device = rawDevice(server, newUdid(), identity)
    expect((await device.authenticate()).status).toBe(200)
    expect((await device.tokenUpdate({ Topic: TOPIC })).status).toBe(200)
  })
})
