import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { EncodableDict } from '../../src/apple/wire/plist-writer.ts'
import { startBramley, still, TOPIC, type TestServer } from '../support/bramley.ts'
import { freshDatabase } from '../support/pg.ts'
import { obtainIdentity, rawDevice, uuidOf, type RawDevice } from '../support/raw-device.ts'
import { tapStatements, type StatementTap } from '../support/statement-tap.ts'

// What the loops of the background ask now and then, whatever devices do.
const BACKGROUND = new Set([
  'push_certificates_usable', 'wake_claim', 'wake_settle', 'push_insert', 'job_claim', 'job_done', 'inventory_answers', 'inventory_learn', 'event_insert', 'event_insert_all',
  'commands_expiry_due', 'sightings_flush', 'nudge', 'wake_sweep', 'answers_forget', 'webhook_event_claim', 'webhook_event_again', 'webhook_event_give_up',
])
let tap: StatementTap
let server: TestServer
let device: RawDevice
beforeAll(async () => {
  const db = await freshDatabase()
  tap = await tapStatements(db.url)
  server = await startBramley({ db, settings: { BRAMLEY_DATABASE_URL: tap.url } })
  const { identity } = await obtainIdentity(server, await server.link())
  device = rawDevice(server, '00008150-000A11C20B78401E', identity)
})
afterAll(async () => {
  await server.stop()
  await tap.close()
})
beforeEach(async () => {
  await still(server)
})

/** The transactions that a message costs, without the background's. */
async function costOf(message: () => Promise<{ status: number }>): Promise<string[][]> {
  tap.take()
  expect((await message()).status).toBe(200)
  return tap.take().filter((transaction) => !transaction.every((statement) => BACKGROUND.has(statement)))
}

const queue = (type: string) => server.api('POST', `/devices/${device.udid}/commands`, { type }).then((answer) => answer.json<{ command_uuid: string }>().command_uuid)
const checkin = (message: EncodableDict) => () => device.checkin(message)
const idle = () => device.report({ Status: 'Idle' })

describe('one message of a device', () => {
  it('costs a check-in two statements in one transaction: Authenticate and TokenUpdate of a new phone', async () => {
    expect(await costOf(() => device.authenticate())).toEqual([['device_speaker', 'begin_enrollment']])
    expect(await costOf(() => device.tokenUpdate())).toEqual([['device_speaker', 'update_token']])
  })

  it('costs a poll with nothing to do one statement, and no lock', async () => {
    await idle()
    expect(await costOf(idle)).toEqual([['visit_glance']])
  })

  it('costs a poll that fetches a command two, and a report with its next command one', async () => {
    const [first, second] = [await queue('ProfileList'), await queue('SecurityInfo')]
    expect(await costOf(idle)).toEqual([['visit_glance'], ['device_visit']])
    expect(await costOf(() => device.report({ Status: 'NotNow', CommandUUID: first }))).toEqual([['device_visit']])
    expect(await costOf(() => device.report({ Status: 'Acknowledged', CommandUUID: second, SecurityInfo: { HardwareEncryptionCaps: 3 } }))).toEqual([['device_visit']])
    expect(uuidOf((await device.idle())!)).toBe(first)
    expect(await costOf(() => device.report({ Status: 'Error', CommandUUID: first, ErrorChain: [] }))).toEqual([['device_visit']])
  })

  it('costs a poll two even when it ends commands whose time is over', async () => {
    const uuid = await queue('CertificateList')
    await server.db.query(`update commands set expires_at = now() where command_uuid = $1`, [uuid])
    expect(await costOf(idle)).toEqual([['visit_glance'], ['device_visit']])
    expect(await server.db.query('select state from command_results where command_uuid = $1', [uuid])).toEqual([{ state: 'expired' }])
  })

  it('costs every other check-in two at most', async () => {
    const user = { UserID: 'AAAAAAAA-0000-4000-8000-000000000001', UserShortName: 'ada' }
    const messages: [EncodableDict, string[]][] = [
      [{ MessageType: 'SetBootstrapToken', BootstrapToken: Buffer.alloc(16, 1) }, ['device_speaker', 'bootstrap_token_set']],
      [{ MessageType: 'GetBootstrapToken' }, ['device_speaker', 'bootstrap_token_find']],
      [{ ...user, MessageType: 'TokenUpdate', Topic: TOPIC, Token: Buffer.alloc(32, 2), PushMagic: 'hers' }, ['device_speaker', 'update_token']],
      [{ MessageType: 'DeclarativeManagement', Endpoint: 'tokens' }, ['device_speaker']],
      [{ MessageType: 'DeclarativeManagement', Endpoint: 'declaration-items' }, ['device_speaker']],
      [{ MessageType: 'DeclarativeManagement', Endpoint: 'status', Data: Buffer.from('{"StatusItems":{},"Errors":[]}') }, ['device_speaker', 'declaration_status_save']],
      [{ ...user, MessageType: 'CheckOut' }, ['device_speaker', 'end_channels']],
    ]
    for (const [message, statements] of messages) expect([message['MessageType'], await costOf(checkin(message))]).toEqual([message['MessageType'], [statements]])
  })

  it('costs two to begin again and to check out, with commands that end, users and a wake', async () => {
    await queue('ProfileList')
    await device.checkin({ UserID: 'BBBBBBBB-0000-4000-8000-000000000001', MessageType: 'TokenUpdate', Topic: TOPIC, Token: Buffer.alloc(32, 3), PushMagic: 'his' })
    expect(await costOf(() => device.authenticate())).toEqual([['device_speaker', 'begin_enrollment']])
    await device.tokenUpdate()
    await queue('ProfileList')
    expect(await costOf(() => device.tokenUpdate())).toEqual([['device_speaker', 'update_token']])
    expect(await costOf(checkin({ MessageType: 'CheckOut' }))).toEqual([['device_speaker', 'end_channels']])
    expect(await server.db.query('select 1 from commands')).toEqual([])
  })

  it('costs two to let a newcomer take the place of a silent generation', async () => {
    const { identity } = await obtainIdentity(server, await server.link())
    device = rawDevice(server, device.udid, identity)
    expect(await costOf(() => device.authenticate())).toEqual([['device_speaker', 'begin_enrollment']])
  })

  it('costs a poll one statement too when a webhook is told of it, quiet or not', async () => {
    const telling = await startBramley({ beside: server, settings: { BRAMLEY_DATABASE_URL: tap.url, BRAMLEY_WEBHOOK_URL: 'http://127.0.0.1:9/' } })
    await device.tokenUpdate()
    await queue('ProfileList')
    await still(server)
    const there = rawDevice(telling, device.udid, device.identity)
    const before = await server.db.query('select 1 from webhook_events')
    expect(await costOf(() => there.report({ Status: 'Idle' }))).toEqual([['device_visit']])
    expect(await server.db.query('select 1 from webhook_events')).toHaveLength(before.length + 1)
    await telling.stop()
  })
})
