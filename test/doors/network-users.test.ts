import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodePlist } from '../../src/apple/wire/plist.ts'
import { dumpTables, startBramley, still, type Answer, type TestServer } from '../support/bramley.ts'
import { CHECKIN, enrolledDevice, obtainIdentity, rawDevice, type RawDevice } from '../support/raw-device.ts'

const sample = (name: string) => readFileSync(new URL(`../fixtures/apple/samples/valid/${name}.plist`, import.meta.url))
const MAC = '564D3E1A-5C7B-5F6A-9B1E-3C2D1A0B9F8E'

let server: TestServer
let mac: RawDevice
beforeAll(async () => {
  server = await startBramley({ settings: { BRAMLEY_NETWORK_USERS: 'accept' } })
  mac = await enrolledDevice(server, MAC, { authenticate: { ProductName: 'Mac15,3' } })
})
afterAll(() => server.stop())

/** What is answered, when every table is as it was before. */
async function unchanged(ask: () => Promise<Answer>): Promise<Answer> {
  await still(server)
  const before = await dumpTables(server.db)
  const answer = await ask()
  expect(await dumpTables(server.db)).toEqual(before)
  return answer
}

describe('with BRAMLEY_NETWORK_USERS=accept', () => {
  it('12: a network user is asked for no password', async () => {
    const answer = await unchanged(() => mac.put(sample('12-userauthenticate-1'), CHECKIN))
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/xml; charset=utf-8'])
    expect({ ...decodePlist(answer.body) as object }).toEqual({ DigestChallenge: '' })
  })

  it('13: whatever the Mac then answers, also an empty digest, is taken', async () => {
    const answer = await unchanged(() => mac.put(sample('13-userauthenticate-2'), CHECKIN))
    expect([answer.status, answer.body.length]).toEqual([200, 0])
    const empty = await unchanged(() => mac.checkin({ MessageType: 'UserAuthenticate', UserID: 'U-1', DigestResponse: '' }))
    expect([empty.status, empty.body.length]).toEqual([200, 0])
  })

  it('the users of a held newcomer are declined, and a stranger is refused', async () => {
    const held = rawDevice(server, MAC, (await obtainIdentity(server, await server.link())).identity)
    await held.authenticate()
    expect((await unchanged(() => held.put(sample('12-userauthenticate-1'), CHECKIN))).status).toBe(410)
    const stranger = await enrolledDevice(server, '00008120-0000000000C1')
    expect((await unchanged(() => stranger.put(sample('12-userauthenticate-1'), CHECKIN))).status).toBe(400)
  })
})
