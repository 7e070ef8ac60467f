import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { startApnsStandIn, type ApnsStandIn } from '../../src/simulator/apns-stand-in.ts'
import { KEY, send, until, uploadPushCertificate, type TestServer } from '../support/bramley.ts'
import { load, type Loaded } from '../support/load.ts'
import { furnished, meet } from '../support/meet.ts'
import { emptyDatabase, freshDatabase, type FreshDatabase } from '../support/pg.ts'
import { runBramley, startServer, type CommandResult, type ServerProcess } from '../support/process.ts'
import { enrolledDevice, REPORT, signatureOf, type RawDevice } from '../support/raw-device.ts'
import { encodePlist } from '../../src/apple/wire/plist-writer.ts'

let apns: ApnsStandIn
beforeAll(async () => {
  apns = await startApnsStandIn()
})
afterAll(() => apns.close())

const newFolder = () => mkdtempSync(join(inject('runFolder'), 'data-'))
/** What a start that is refused says: one line that begins with the program's name, after what had been done. */
const lastLine = ({ stderr }: CommandResult) => stderr.split('\n').slice(stderr.split('\n').findIndex((line) => line.startsWith('bramley: ')))
const status = async (base: string, path: string) => (await send(base, undefined, 'GET', path, { headers: { connection: 'close' } })).status

describe('a server on its embedded PostgreSQL', () => {
  let server: ServerProcess
  let client: TestServer
  let device: RawDevice
  beforeAll(async () => {
    server = await startServer(furnished(apns))
    client = meet(() => server.httpUrl, apns)
    await uploadPushCertificate(client, apns)
    device = await enrolledDevice(client, '00008120-000000000000001E')
  })
  afterAll(() => server.kill('SIGKILL'))

  const postmaster = () => {
    try {
      return Number(readFileSync(join(server.dataFolder, 'pg', 'data', 'postmaster.pid'), 'utf8').split('\n')[0])
    } catch {
      return undefined
    }
  }
  const ends = () => server.lines.filter(({ msg }) => msg === 'the embedded PostgreSQL ended; starting it again').length

  it('is alone on its data folder: a second start ends with one line that says so', async () => {
    const second = await runBramley(['serve'], { dataFolder: server.dataFolder })
    expect([second.code, second.stdout]).toEqual([1, ''])
    expect(second.stderr).toMatch(/^bramley: Another Bramley already runs on \S+ \(its PostgreSQL is process \d+\): stop that one, or set BRAMLEY_DATA to another folder$/)
    expect(await status(server.httpUrl, '/readyz')).toBe(200)
  })

  it('answers 503 while a killed PostgreSQL is started again, and then works as before', async () => {
    const killed = postmaster() ?? 0
    process.kill(killed, 'SIGKILL')
    const seen = { ready: new Set<number>(), api: new Set<number>(), device: new Set<number>() }
    await until(async () => {
      const now = await Promise.all([client.http('GET', '/readyz'), client.api('GET', '/devices'), device.report({ Status: 'Idle' })])
      for (const answer of now) expect(answer.status === 200 || answer.headers['retry-after']).not.toBeUndefined()
      for (const [index, set] of [seen.ready, seen.api, seen.device].entries()) set.add(now[index]?.status ?? 0)
      return seen.api.has(503) && now.every((answer) => answer.status === 200)
    }, 'the server to recover')
    for (const statuses of Object.values(seen)) expect([200, 503]).toEqual(expect.arrayContaining([...statuses]))
    expect([ends(), postmaster() === killed]).toEqual([1, false])
    const { command_uuid } = (await client.api('POST', `/devices/${device.udid}/commands`, { type: 'ProfileList' })).json<{ command_uuid: string }>()
    expect((await device.idle())?.['CommandUUID']).toBe(command_uuid)
  })

  it('ends in order when it is told to while its PostgreSQL is being started again, and leaves none behind', async () => {
    process.kill(postmaster() ?? 0, 'SIGKILL')
    await until(async () => ends() === 2, 'the loss to be noticed')
    server.kill('SIGTERM')
    expect(await server.exited).toEqual({ code: 0, signal: null })
    expect(postmaster()).toBeUndefined()
  })

  it('said only JSON lines on stdout, without a secret', () => {
    expect(server.said.stdout.length).toBeGreaterThan(5)
    for (const line of server.said.stdout) expect(JSON.parse(line)).toMatchObject({ level: expect.any(String), time: expect.any(String), msg: expect.any(String) })
    expect(server.said.stdout.join('\n')).not.toContain(KEY)
    expect(server.said.stderr.join('\n')).not.toContain(KEY)
  })
})

describe('a server that is told to stop under load', () => {
  let database: FreshDatabase
  let place: ReturnType<typeof furnished>
  let server: ServerProcess
  let links: Loaded
  let polls: Loaded
  let exit: unknown
  beforeAll(async () => {
    database = await freshDatabase()
    place = furnished(apns)
    server = await startServer({ ...place, databaseUrl: database.url })
    const client = meet(() => server.httpUrl, apns)
    await uploadPushCertificate(client, apns)
    const device = await enrolledDevice(client, '00008120-000000000000001F')
    const idle = encodePlist({ UDID: device.udid, Status: 'Idle' })
    const signed = { 'content-type': REPORT, 'mdm-signature': signatureOf(idle, device.identity) }
    const authorized = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' }
    links = load(server.httpUrl, 6, (name) => ({ method: 'POST', path: '/api/v1/enrollment-links', headers: authorized, body: JSON.stringify({ name }) }))
    polls = load(server.httpUrl, 6, () => ({ method: 'PUT', path: '/mdm', headers: signed, body: idle }))
    await until(async () => links.outcomes.size > 60 && polls.outcomes.size > 60, 'the load')
    server.kill('SIGTERM')
    exit = await server.exited
    await Promise.all([links.ended, polls.ended])
  })
  afterAll(() => database.drop())

  it('ends with 0', () => {
    expect(exit).toEqual({ code: 0, signal: null })
  })

  it('answers whole what it answers, and with nothing but success or "come again"', () => {
    expect([0, 201, 503]).toEqual(expect.arrayContaining([...new Set(links.outcomes.values())]))
    expect([0, 200, 503]).toEqual(expect.arrayContaining([...new Set(polls.outcomes.values())]))
  })

  it('answers every request that it accepted: what has taken effect was told to whoever asked', async () => {
    const stored = await database.query<{ name: string }>(`select name from enrollment_links where name like 'client %' order by name collate "C"`)
    const told = [...links.outcomes].filter(([, outcome]) => outcome === 201).map(([name]) => name)
    expect(told.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(stored.map(({ name }) => name))
  })

  it('does not start again with another secret.key', async () => {
    const other = await runBramley(['serve'], { databaseUrl: database.url })
    expect([other.code, other.stdout]).toEqual([1, ''])
    expect(lastLine(other)).toEqual([expect.stringMatching(/^bramley: \S+secret\.key is not the key that sealed this database: put the right file in its place$/)])
  })
})

describe('with BRAMLEY_MIGRATE=manual', () => {
  const env = { BRAMLEY_MIGRATE: 'manual' }

  it('an empty database is refused untouched; after "bramley migrate up" the server starts, and says 503 from the first sign of stopping', async () => {
    const database = await emptyDatabase()
    const there = { databaseUrl: database.url, env }
    const refused = await runBramley(['serve'], there)
    expect([refused.code, refused.stdout]).toEqual([1, ''])
    expect(refused.stderr).toMatch(/^bramley: the database has schema version 0, this program needs \d+: run `bramley migrate up`$/)
    expect(await database.query(`select to_regclass('migrations') as found`)).toEqual([{ found: null }])
    expect((await runBramley(['migrate', 'status'], there)).stdout).toMatch(/^schema 0, this program has \d+$/)
    expect((await runBramley(['migrate', 'up'], there)).stdout).toMatch(/^migrated 0 → \d+$/)
    const server = await startServer(there)
    expect(await status(server.httpUrl, '/readyz')).toBe(200)
    await drainsVisibly(server)
    saysNoSecret(server)
    await database.drop()
  })

  it('our own PostgreSQL can be migrated although no server runs it', async () => {
    const dataFolder = newFolder()
    expect(lastLine(await runBramley(['serve'], { dataFolder, env }))).toEqual([expect.stringContaining('run `bramley migrate up`')])
    expect((await runBramley(['migrate', 'up'], { dataFolder, env })).stdout).toMatch(/^migrated 0 → \d+$/)
    const server = await startServer({ dataFolder, env })
    server.kill('SIGINT')
    expect(await server.exited).toEqual({ code: 0, signal: null })
  })
})

/** A request whose head is half sent keeps its connection: finished after the stop has begun, it is told. */
async function drainsVisibly(server: ServerProcess): Promise<void> {
  const { socket, answer } = await halfAsked(server.httpUrl, '/readyz')
  server.kill('SIGTERM')
  await until(() => status(server.httpUrl, '/healthz').then(() => false, () => true), 'the listener to be closed')
  socket.write('Connection: keep-alive\r\n\r\n')
  expect(await answer).toMatch(/^HTTP\/1\.1 503 [^]*\r\nconnection: close\r\n/i)
  expect(await server.exited).toEqual({ code: 0, signal: null })
}

async function halfAsked(base: string, path: string): Promise<{ socket: Socket; answer: Promise<string> }> {
  const socket = connect(Number(new URL(base).port), '127.0.0.1')
  let heard = ''
  socket.setEncoding('utf8').on('data', (text: string) => (heard += text))
  const answer = new Promise<string>((resolve) => socket.on('close', () => resolve(heard)))
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n`)
  await status(base, '/healthz') // by now the server has read the half
  return { socket, answer }
}

/** A first start prints its one-time token for the person at the terminal; the log of machines has none. */
function saysNoSecret(server: ServerProcess): void {
  const token = /"token":"([0-9A-Z]{4}(-[0-9A-Z]{4}){2})"/.exec(server.said.stderr.join('\n'))?.[1]
  expect(token).toBeDefined()
  for (const line of server.said.stdout) expect(JSON.parse(line)).toBeTypeOf('object')
  expect(server.said.stdout.join('\n')).not.toContain(token)
}

describe('a start is refused in one line', () => {
  it('with 2 for a setting that nobody knows, and says which was meant', async () => {
    const { code, stdout, stderr } = await runBramley(['serve'], { env: { BRAMLEY_PUBLIC_ULR: 'https://mdm.example.com' } })
    expect([code, stdout, stderr]).toEqual([2, '', 'bramley: BRAMLEY_PUBLIC_ULR: unknown setting; did you mean BRAMLEY_PUBLIC_URL?'])
  })

  it('with 1 for a bootstrap token that is too short, which is not quoted', async () => {
    const database = await freshDatabase()
    const file = join(newFolder(), 'token')
    writeFileSync(file, 'too-short')
    const refused = await runBramley(['serve'], { databaseUrl: database.url, env: { BRAMLEY_BOOTSTRAP_TOKEN_FILE: file } })
    expect([refused.code, refused.stdout]).toEqual([1, ''])
    expect(lastLine(refused)).toEqual(['bramley: BRAMLEY_BOOTSTRAP_TOKEN_FILE must hold one line of 32 or more printable ASCII characters without spaces'])
    expect(refused.stderr).not.toContain('too-short')
    await database.drop()
  })

  it('with 1 for a secret.key that holds something else', async () => {
    const database = await freshDatabase()
    const dataFolder = newFolder()
    writeFileSync(join(dataFolder, 'secret.key'), 'not a key')
    const refused = await runBramley(['serve'], { databaseUrl: database.url, dataFolder })
    expect([refused.code, lastLine(refused)]).toEqual([1, [`bramley: ${join(dataFolder, 'secret.key')} does not hold a Bramley secret key (32 bytes in base64)`]])
    await database.drop()
  })
})
