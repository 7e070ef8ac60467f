import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodePlist } from '../../src/apple/wire/plist-writer.ts'
import { decodePlist, plistDict } from '../../src/apple/wire/plist.ts'
import { TOPIC, dumpTables, startBramley, still, type TestServer } from '../support/bramley.ts'
import { CHECKIN, REPORT, obtainIdentity, signatureOf, uuidOf } from '../support/raw-device.ts'

const UDID = '00008120-0000000000E1'
const AUTHENTICATE = encodePlist({ MessageType: 'Authenticate', UDID, Topic: TOPIC, ProductName: 'iPhone15,2', OSVersion: '18.0' })
const TOKEN = encodePlist({ MessageType: 'TokenUpdate', UDID, Topic: TOPIC, Token: Buffer.alloc(32, 5), PushMagic: 'magic' })
const IDLE = encodePlist({ UDID, Status: 'Idle' })

let server: TestServer
let put: (path: string, body: Buffer, contentType?: string) => ReturnType<TestServer['http']>

beforeAll(async () => {
  server = await startBramley()
  const { identity } = await obtainIdentity(server, await server.link())
  put = (path, body, contentType) => server.http('PUT', path, {
    headers: { 'mdm-signature': signatureOf(body, identity), ...(contentType !== undefined && { 'content-type': contentType }) }, body,
  })
})
afterAll(() => server.stop())

describe('MicroMDM’s addresses', () => {
  it('serve a device from its enrollment to its commands', async () => {
    for (const message of [AUTHENTICATE, TOKEN]) {
      const answer = await put('/mdm/checkin', message, CHECKIN)
      expect([answer.status, answer.body.length]).toEqual([200, 0])
    }
    await server.api('POST', `/devices/${UDID}/commands`, { type: 'ProfileList' })
    const command = plistDict(decodePlist((await put('/mdm/connect', IDLE, REPORT)).body))
    expect(command['Command']).toMatchObject({ RequestType: 'ProfileList' })
    const done = encodePlist({ UDID, Status: 'Acknowledged', CommandUUID: uuidOf(command), ProfileList: [] })
    expect((await put('/mdm/connect', done)).status).toBe(200) // without a Content-Type, as real clients do
    expect((await server.api('GET', `/devices/${UDID}/commands`)).json()).toMatchObject({ data: [{ state: 'acknowledged' }] })
  })

  it('take only their own kind of message: 415 for the other, and nothing is stored', async () => {
    await still(server)
    const before = await dumpTables(server.db)
    const wrong: [string, Buffer, string | undefined][] = [
      ['/mdm/checkin', TOKEN, REPORT], ['/mdm/checkin', IDLE, REPORT], ['/mdm/checkin', TOKEN, undefined], ['/mdm/checkin', TOKEN, 'text/xml'],
      ['/mdm/connect', TOKEN, CHECKIN], ['/mdm/connect', IDLE, CHECKIN], ['/mdm/connect', IDLE, 'application/json'],
    ]
    for (const [path, body, type] of wrong) {
      const answer = await put(path, body, type)
      expect([path, type, answer.status, answer.body.length]).toEqual([path, type, 415, 0])
    }
    expect((await put('/checkin', IDLE, REPORT)).status).toBe(415)
    expect((await put('/mdm/connect', TOKEN, REPORT)).status).toBe(400)
    expect((await put('/mdm/checkin', IDLE, CHECKIN)).status).toBe(400)
    expect(await dumpTables(server.db)).toEqual(before)
  })

  it('and NanoMDM’s (with -checkin) serve check-ins', async () => {
    const answer = await put('/checkin', TOKEN, CHECKIN)
    expect([answer.status, answer.body.length]).toEqual([200, 0])
  })

  it('ask for the same proof as /mdm', async () => {
    for (const [path, type] of [['/mdm/checkin', CHECKIN], ['/checkin', CHECKIN], ['/mdm/connect', REPORT]] as const) {
      const answer = await server.http('PUT', path, { headers: { 'content-type': type }, body: TOKEN })
      expect([path, answer.status, answer.body.length]).toEqual([path, 400, 0])
    }
  })

  it('answer other methods with 405', async () => {
    for (const path of ['/mdm/checkin', '/mdm/connect', '/checkin']) {
      for (const method of ['GET', 'POST', 'DELETE', 'PATCH', 'OPTIONS']) {
        const answer = await server.http(method, path)
        expect({ path, method, status: answer.status, allow: answer.headers['allow'], length: answer.body.length })
          .toEqual({ path, method, status: 405, allow: 'PUT', length: 0 })
      }
    }
  })
})
