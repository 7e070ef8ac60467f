import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startApnsStandIn, type ApnsStandIn } from '../../src/simulator/apns-stand-in.ts'
import { startBalancer, type Balancer } from '../support/balancer.ts'
import { until, uploadPushCertificate, type Answer, type TestServer } from '../support/bramley.ts'
import { furnished, meet } from '../support/meet.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'
import { startServer, type ServerProcess } from '../support/process.ts'
import { obtainIdentity, rawDevice, type RawDevice } from '../support/raw-device.ts'
import { converse, faultsOf, stubborn, type Turn } from '../support/stubborn-device.ts'

/** How long processes are killed; the short form counts kills instead (`npm run test:faults` sets 60 seconds). */
const SECONDS = Number(process.env['BRAMLEY_MARATHON_SECONDS'] ?? 0)
const KILLS_OF_EACH = 2
const DEVICES = SECONDS > 0 ? 12 : 4
/** A device sees so many answers, at most, between two kills of a process. */
const CALM = 12
/** Answers of a process that get lost before it is killed. */
const LOST = 8

let db: FreshDatabase
let apns: ApnsStandIn
let balancer: Balancer
let service: TestServer
const processes: (ServerProcess | undefined)[] = [undefined, undefined]
const counts = stubborn()
const seed = Number(process.env['BRAMLEY_TEST_SEED'] ?? Math.floor(Math.random() * 1e9))
const random = randomFrom(seed)

beforeAll(async () => {
  db = await freshDatabase()
  apns = await startApnsStandIn()
  const [first, second] = [furnished(apns), furnished(apns)]
  const shared = { BRAMLEY_PUBLIC_URL: 'https://mdm.example.com', BRAMLEY_SECRET_KEY_FILE: join(first.dataFolder, 'secret.key') }
  for (const { env } of [first, second]) Object.assign(env, shared)
  delete (first.env as Record<string, string>)['BRAMLEY_SECRET_KEY_FILE']
  start = async (at) => void (processes[at] = await startServer({ ...(at === 0 ? first : second), databaseUrl: db.url }))
  await start(0)
  await start(1)
  balancer = await startBalancer([0, 1].map((at) => () => Number(new URL(processes[at]?.httpUrl ?? 'http://127.0.0.1:9').port)))
  service = meet(() => balancer.url, apns)
  expect((await uploadPushCertificate(service, apns)).status).toBe(201)
})

afterAll(async () => {
  await balancer.close()
  for (const one of processes) one?.kill('SIGKILL')
  for (const one of processes) await one?.exited
  await apns.close()
  await db.drop()
})

let start: (at: number) => Promise<void>
let answers = 0

/** Kills one process again and again while it works, and starts it again each time; returns how often. */
async function harass(at: number, isOver: (kills: number) => boolean): Promise<number> {
  let kills = 0
  while (!isOver(kills)) {
    const next = answers + 1 + Math.floor(random() * CALM * DEVICES)
    await until(async () => answers >= next && (balancer.open[at] ?? 0) > 0, 'work to be disturbed')
    // Every other time in the worst moment: what it had committed when it died was never heard.
    if (kills % 2 === 0) await balancer.mute(at, LOST)
    const victim = processes[at]
    processes[at] = undefined
    victim?.kill('SIGKILL')
    await victim?.exited
    balancer.hear(at)
    await start(at)
    kills++
  }
  return kills
}

/** Enrolls, whatever breaks: each step is taken again until it is answered, and what was lost on the way is done anew. */
async function enroll(udid: string): Promise<RawDevice> {
  const identity = await persist(async () => (await obtainIdentity(service, await service.link())).identity)
  const device = rawDevice(service, udid, identity)
  const isDone = ({ status }: Answer) => status === 200
  await counts.until(`Authenticate of ${udid}`, () => device.authenticate(), isDone)
  await counts.until(`TokenUpdate of ${udid}`, () => device.tokenUpdate(), isDone)
  return device
}

async function persist<T>(attempt: () => Promise<T>): Promise<T> {
  return until(() => attempt().catch(() => (counts.cut++, undefined)), 'an identity')
}

const isInProgress = (answer: Answer) => answer.status === 409 && answer.json()['code'] === 'request_in_progress'

/** Queues a command through every fault, under one key; returns its CommandUUID. */
async function enqueue(udid: string, number: number): Promise<string> {
  const key = randomUUID()
  // Two questions that differ are two commands.
  const body = { type: 'DeviceInformation', params: { Queries: [`Question${number}`] }, force: true }
  const ask = () => service.api('POST', `/devices/${udid}/commands`, body, { 'idempotency-key': key })
  // The killed process may still hold the key for a moment: its connection is not closed yet.
  const isSettled = (answer: Answer) => answer.status === 202 || !isInProgress(answer)
  const settled = async () => until(() => ask().then((answer) => isSettled(answer) && answer), 'the key to be free')
  const answer = await counts.until(`a command for ${udid}`, settled, ({ status }) => status === 202)
  return answer.json<{ command_uuid: string }>().command_uuid
}

interface Story {
  device: RawDevice
  /** CommandUUIDs in the order in which the API accepted them. */
  queued: string[]
  transcript: Turn[]
}

/** One device's life until `isOver`: commands come in while it fetches them; then the rest, until its queue is empty. */
async function live(udid: string, isOver: () => boolean): Promise<Story> {
  const story: Story = { device: await enroll(udid), queued: [], transcript: [] }
  let closed = false
  const administrate = async () => {
    while (!isOver() || story.queued.length < 5) {
      story.queued.push(await enqueue(udid, story.queued.length))
      // A queue that only grows would be a test of the end alone.
      await until(async () => story.transcript.filter(({ said }) => said === 'Acknowledged').length + 8 >= story.queued.length, 'the queue to shrink')
    }
    closed = true
  }
  const visit = async () => {
    while (!closed) await talk(() => random() < 0.2)
    await talk(() => false)
  }
  const talk = async (isBusy: () => boolean) => {
    const before = story.transcript.length
    await converse(story.device, counts, story.transcript, isBusy)
    answers += story.transcript.length - before
  }
  await Promise.all([administrate(), visit()])
  return story
}

const endsOf = (udid: string) => db.query<{ command_uuid: string; state: string; ends: number; deliveries: number }>(
  `select r.command_uuid, r.state,
      (select count(*)::int from events v where v.type in ('command.acknowledged', 'command.failed') and v.data->>'command' = r.id) as ends,
      (select count(*)::int from events v where v.type = 'command.delivered' and v.data->>'command' = r.id) as deliveries
    from command_results r join enrollments e on e.id = r.enrollment_id where e.device_key = $1 order by r.seq`, [udid])

describe('two processes behind a balancer, one or the other killed at any moment', () => {
  it('lose nothing, reorder nothing and double nothing', { timeout: 60_000 + SECONDS * 2_000 }, async () => {
    const end = performance.now() + SECONDS * 1_000
    const isOver = (kills: number) => (SECONDS > 0 ? performance.now() > end : kills >= KILLS_OF_EACH)
    let working = true
    const killers = Promise.all([0, 1].map((at) => harass(at, isOver))).finally(() => (working = false))
    const udids = Array.from({ length: DEVICES }, (_, index) => `00008150-${String(index + 1).padStart(12, '0')}`)
    const stories = await Promise.all(udids.map((udid) => live(udid, () => !working)))
    const kills = await killers

    const told = { seed, kills, cut: counts.cut, commands: stories.reduce((sum, { queued }) => sum + queued.length, 0) }
    if (SECONDS > 0) console.info('marathon', told)
    expect({ ...told, strange: counts.strange }).toMatchObject({ strange: [] })
    for (const { device, queued, transcript } of stories) {
      expect({ seed, udid: device.udid, faults: faultsOf(transcript, queued) }).toEqual({ seed, udid: device.udid, faults: [] })
      expect(await endsOf(device.udid)).toEqual(queued.map((command_uuid) => ({ command_uuid, state: 'acknowledged', ends: 1, deliveries: 1 })))
    }
    expect(await db.query('select id from commands')).toEqual([])
    // Otherwise nothing was disturbed and the above says nothing.
    expect(Math.min(...kills)).toBeGreaterThan(0)
    expect(counts.cut).toBeGreaterThan(0)
  })
})

/** Numbers from 0 to 1 that a seed decides (mulberry32). */
function randomFrom(start: number): () => number {
  let state = start
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
