import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodePlist, plistDict } from '../../src/apple/wire/plist.ts'
import { startBramley, still, until, type TestServer } from '../support/bramley.ts'
import { enrolledDevice, rawDevice, uuidOf, type RawDevice } from '../support/raw-device.ts'

let a: TestServer
let b: TestServer
beforeAll(async () => {
  a = await startBramley()
  b = await startBramley({ beside: a })
})
afterAll(async () => {
  await b.stop()
  await a.stop()
})

let number = 0
/** One device, seen from both processes. */
async function device(): Promise<[RawDevice, RawDevice]> {
  const atA = await enrolledDevice(a, `00008150-${String(++number).padStart(12, '0')}`)
  return [atA, rawDevice(b, atA.udid, atA.identity)]
}
const queue = (server: TestServer, udid: string, type: string) => server.api('POST', `/devices/${udid}/commands`, { type }).then((answer) => answer.json<{ id: string; command_uuid: string }>())
/** Queues the question of this number: a command unlike any before it. */
const ask = (server: TestServer, udid: string, number: number) => (
  server.api('POST', `/devices/${udid}/commands`, { type: 'DeviceInformation', params: { Queries: [`Question${number}`] }, force: true })
    .then((answer) => answer.json<{ command_uuid: string }>()))
/** What a device says to both processes at the same moment, in turn. */
const [I, A, N] = ['Idle', 'Acknowledged', 'NotNow'] as const
const SAYINGS = [[I, I], [A, I], [I, A], [A, A], [N, N], [A, I], [I, A], [N, I], [N, A], [A, I], [I, A], [A, N]] as const

interface Queue {
  acknowledged: Set<string>
  held: Set<string>
}
const firstOf = (queued: string[], { acknowledged, held }: Queue) => queued.find((uuid) => !acknowledged.has(uuid) && !held.has(uuid))

/** Each of these once; what was acknowledged while it was held is not held. */
function different(states: Queue[]): Queue[] {
  const heldBy = ({ acknowledged, held }: Queue) => [...held].filter((uuid) => !acknowledged.has(uuid)).toSorted().join()
  return [...new Map(states.map((state) => [heldBy(state), state])).values()]
}

/** What the server must offer to each of these messages when they come in this order, and the queue afterwards. */
function inOrder(queued: string[], before: Queue, messages: { Status: string; CommandUUID?: string }[], order: number[]) {
  const state = { acknowledged: new Set(before.acknowledged), held: new Set(before.held) }
  const offered: (string | undefined)[] = []
  for (const index of order) {
    const { Status, CommandUUID = '' } = messages[index]!
    if (Status === 'Idle') state.held.clear()
    else (Status === 'Acknowledged' ? state.acknowledged : state.held).add(CommandUUID)
    offered[index] = firstOf(queued, state)
  }
  return { offered, state }
}
const TYPES = ['ProfileList', 'SecurityInfo', 'CertificateList', 'DeviceInformation', 'InstalledApplicationList']

describe('two processes on one database', () => {
  it('hand out each command once and in order to a device that polls both at the same moment', async () => {
    const [atA, atB] = await device()
    const queued: string[] = []
    for (let round = 0; round < 6; round++) {
      for (const [index, type] of TYPES.entries()) {
        const params = type === 'DeviceInformation' ? { params: { Queries: [`Q${round}`] } } : {}
        const answer = await (index % 2 === 0 ? a : b).api('POST', `/devices/${atA.udid}/commands`, { type, ...params, force: true })
        const { command_uuid, deduplicated } = answer.json<{ command_uuid: string; deduplicated: boolean }>()
        if (!deduplicated) queued.push(command_uuid)
      }
      if (round === 0) expect(queued).toHaveLength(TYPES.length)
    }
    const done: string[] = []
    for (let turn = 0; turn < 100 && done.length < queued.length; turn++) {
      const [one, two] = await Promise.all([atA.idle(), atB.idle()])
      expect(one?.['CommandUUID']).toBe(two?.['CommandUUID'])
      const command = one ?? two
      if (!command) break
      done.push(uuidOf(command))
      const message = { Status: 'Acknowledged', CommandUUID: uuidOf(command) }
      const answers = await Promise.all([atA.report(message), atB.report(message)])
      expect(answers.map((answer) => answer.status)).toEqual([200, 200])
    }
    expect(done).toEqual(queued)
    const results = await a.db.query<{ n: number }>(`select count(*)::int as n from command_results r join enrollments e on e.id = r.enrollment_id where e.device_key = $1 and r.state = 'acknowledged'`, [atA.udid])
    expect(results[0]?.n).toBe(queued.length)
  })

  it('hand out each command once and in order, however a device that polls both at once answers: 500 double polls', { timeout: 120_000 }, async () => {
    const [atA, atB] = await device()
    const queued: string[] = []
    const fill = async () => {
      for (const server of [a, b, a, b, a, b, a, b, a, b, a, b]) queued.push((await ask(server, atA.udid, queued.length)).command_uuid)
    }
    // Where both orders of two messages look the same from outside, both are kept in mind.
    let states: Queue[] = [{ acknowledged: new Set(), held: new Set() }]
    for (let turn = 0; turn < 500; turn++) {
      const [state] = states as [Queue]
      const isEmpty = state.acknowledged.size === queued.length
      if (isEmpty) await fill()
      const current = firstOf(queued, state)
      // A device reports only about what it was offered, and begins anew with Idle.
      const sayings = isEmpty || states.length > 1 || current === undefined ? SAYINGS[0] : SAYINGS[turn % SAYINGS.length]!
      const messages = sayings.map((Status) => ({ Status, ...(Status !== 'Idle' && { CommandUUID: current ?? '' }) }))
      const answers = await Promise.all([atA, atB].map((at, index) => at.report(messages[index]!)))
      expect(answers.map(({ status }) => status)).toEqual([200, 200])
      const offered = answers.map(({ body }) => (body.length === 0 ? undefined : uuidOf(plistDict(decodePlist(body)))))
      // One of the two came first: the answers must be those of one order or of the other.
      const orders = states.flatMap((before) => [[0, 1], [1, 0]].map((order) => inOrder(queued, before, messages, order)))
      states = different(orders.filter((order) => order.offered.every((uuid, index) => uuid === offered[index])).map(({ state: after }) => after))
      expect({ turn, sayings, offered, possible: states.length > 0 }).toMatchObject({ possible: true })
    }
    const acknowledged = new Set(states[0]?.acknowledged)
    for (let left = await atA.idle(); left; left = await atB.acknowledge(left)) acknowledged.add(uuidOf(left))
    expect(acknowledged).toEqual(new Set(queued))
    const order = (type: string) => a.db.query<{ uuid: string }>(`select r.command_uuid as uuid from events v join command_results r on r.id = v.data->>'command'
      join enrollments e on e.id = r.enrollment_id where v.type = $1 and e.device_key = $2 and r.state = 'acknowledged' order by v.seq`, [type, atA.udid])
    expect((await order('command.delivered')).map(({ uuid }) => uuid)).toEqual(queued)
    expect((await order('command.acknowledged')).map(({ uuid }) => uuid).toSorted()).toEqual(queued.toSorted())
  })

  it('apply the same acknowledgement once, however often and wherever it comes', async () => {
    const [atA, atB] = await device()
    const { id, command_uuid } = await queue(a, atA.udid, 'ProfileList')
    await atA.idle()
    const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => (index % 2 === 0 ? atA : atB).report({ Status: 'Acknowledged', CommandUUID: command_uuid, ProfileList: [] })))
    expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 10 }, () => 200))
    expect(await a.db.query(`select 1 from events where type = 'command.acknowledged' and data->>'command' = $1`, [id])).toHaveLength(1)
  })

  it('either cancel a command or deliver it, never both', async () => {
    for (let round = 0; round < 25; round++) {
      const [atA] = round === 0 ? await device() : [last!]
      last = atA
      const { id } = await queue(b, atA.udid, 'ProfileList')
      const [cancelled, command] = await Promise.all([b.api('POST', `/commands/${id}/cancel`), atA.idle()])
      if (cancelled.status === 200) expect(command).toBeUndefined()
      else {
        expect([cancelled.status, cancelled.json<{ code: string }>().code]).toEqual([409, 'already_delivered'])
        expect(await atA.acknowledge(command!, { ProfileList: [] })).toBeUndefined()
      }
    }
  })

  it('push once for one wish', async () => {
    const [atA] = await device()
    await still(a)
    const before = a.apns.counters.pushes
    await queue(b, atA.udid, 'ProfileList')
    await until(async () => a.apns.counters.pushes > before, 'the push')
    await until(async () => (await a.db.query(`select 1 from push_wakes w join enrollments e on e.id = w.enrollment_id where e.device_key = $1 and w.attempt = 1`, [atA.udid])).length === 1, 'it to be settled')
    expect(a.apns.counters.pushes).toBe(before + 1)
  })

  it('refuse a key revoked by the other at once', async () => {
    const key = (await a.api('POST', '/api-keys', { name: 'x', scopes: ['devices:read'] })).json<{ id: string; token: string }>()
    const ask = (server: TestServer) => server.http('GET', '/api/v1/devices', { headers: { authorization: `Bearer ${key.token}` } })
    expect((await ask(b)).status).toBe(200)
    await a.api('DELETE', `/api-keys/${key.id}`)
    expect((await ask(b)).status).toBe(401)
  })
})

let last: RawDevice | undefined
