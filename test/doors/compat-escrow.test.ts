import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { startApnsStandIn } from '../../src/simulator/apns-stand-in.ts'
import { dumpTables, startBramley, TOPIC, type TestServer } from '../support/bramley.ts'
import { basic, call } from '../support/compat.ts'
import { startEscrowStandIn, type EscrowStandIn } from '../support/escrow-stand-in.ts'

const ESCROW_KEY = '3UM43-PUYVY-QYD1-UVCC-HEHJ-FKA4'
const FORM = { topic: TOPIC, serial: 'C02ABC', productType: 'iPad14,3', escrowKey: ESCROW_KEY, orgName: 'Acme & Söhne', guid: 'G-1' }

let first: TestServer
let server: TestServer
let apple: EscrowStandIn
beforeAll(async () => {
  first = await startBramley()
  apple = await startEscrowStandIn(first.apns.caPem)
  const ca = join(mkdtempSync(join(inject('runFolder'), 'escrow-')), 'ca.pem')
  writeFileSync(ca, apple.caPem)
  server = await startBramley({ beside: first, settings: { BRAMLEY_ESCROW_UNLOCK_URL: apple.url, BRAMLEY_ESCROW_UNLOCK_CA: ca } })
})
afterAll(async () => {
  await server.stop()
  await first.stop()
  await apple.close()
})

const unlock = (form: Record<string, string>, method = 'POST', headers: Record<string, string> = {}) => (
  call(server, method, '/v1/escrowkeyunlock', new URLSearchParams(form).toString(), { 'content-type': 'application/x-www-form-urlencoded', ...headers })
)

describe('/v1/escrowkeyunlock', () => {
  it('gives Apple the hardware in the query and the rest in the body, by the push certificate of the topic', async () => {
    apple.answer(200, '')
    expect((await unlock({ ...FORM, imei: '35-1', imei2: '35-2', meid: 'A1' })).status).toBe(200)
    const asked = apple.calls.at(-1)
    const [row] = await server.db.query<{ sha256: string }>(`select encode(sha256, 'hex') as sha256 from push_certificates where topic = $1`, [TOPIC])
    expect(asked).toMatchObject({ method: 'POST', client: row?.sha256, form: { orgName: 'Acme & Söhne', guid: 'G-1', escrowKey: ESCROW_KEY } })
    expect(asked?.headers['content-type']).toBe('application/x-www-form-urlencoded')
    expect(asked?.url.pathname).toBe('/deviceservicesworkers/escrowKeyUnlock')
    expect(Object.fromEntries(asked?.url.searchParams ?? [])).toEqual({ serial: 'C02ABC', productType: 'iPad14,3', imei: '35-1', imei2: '35-2', meid: 'A1' })
    expect(Object.keys(asked?.form ?? {})).toHaveLength(3)
  })

  it('leaves out what was not given', async () => {
    await unlock({ ...FORM, imei: '' })
    expect([...(apple.calls.at(-1)?.url.searchParams.keys() ?? [])]).toEqual(['serial', 'productType'])
  })

  it.each([[200, 'done'], [400, 'malformed'], [404, 'no such device'], [500, 'later'], [503, '']])('passes Apple’s %s and its body on', async (status, body) => {
    apple.answer(status, body, { 'content-type': 'text/x-apple', 'set-cookie': 'a=b' })
    const answer = await unlock(FORM)
    expect([answer.status, answer.body.toString(), answer.headers['content-type']]).toEqual([status, body, 'text/x-apple'])
    expect(answer.headers).not.toHaveProperty('set-cookie')
  })

  it.each(['PUT', 'PATCH'])('takes %s as well', async (method) => {
    apple.answer(200, '')
    expect((await unlock(FORM, method)).status).toBe(200)
  })

  it.each(['GET', 'DELETE'])('does not take %s', async (method) => {
    const answer = await call(server, method, '/v1/escrowkeyunlock')
    expect([answer.status, answer.headers['allow']]).toEqual([405, 'POST, PUT, PATCH'])
  })

  it.each(['serial', 'productType', 'escrowKey', 'orgName', 'guid'])('asks for %s', async (name) => {
    const asked = apple.calls.length
    for (const value of [undefined, '']) {
      const form = Object.fromEntries(Object.entries({ ...FORM, [name]: value ?? '' }).filter(([key]) => value !== undefined || key !== name))
      const answer = await unlock(form)
      expect([answer.status, answer.body.toString()]).toEqual([400, '{\n\t"error": "invalid or missing parameters"\n}\n'])
    }
    expect(apple.calls).toHaveLength(asked)
  })

  it('asks for the topic', async () => {
    const answer = await unlock({ ...FORM, topic: '' })
    expect([answer.status, answer.json()]).toEqual([400, { error: 'empty topic' }])
  })

  it('fails for a topic of which no push certificate is held', async () => {
    const before = await dumpTables(server.db)
    const answer = await unlock({ ...FORM, topic: 'com.apple.mgmt.other' })
    expect([answer.status, answer.json()]).toEqual([500, { error: 'no push certificate of this topic' }])
    expect(await dumpTables(server.db)).toEqual(before)
  })

  it('fails when Apple does not know the certificate, and when nobody is there', async () => {
    const foreign = await startApnsStandIn()
    const stranger = foreign.issuePushCertificate('com.apple.mgmt.stranger')
    await server.api('POST', '/push-certificates', { certificate: stranger.certificatePem, key: stranger.keyPem, keep_both: true })
    const refused = await unlock({ ...FORM, topic: 'com.apple.mgmt.stranger' })
    expect([refused.status, refused.json()]).toEqual([500, { error: expect.stringMatching(/^escrow key unlock: ./) }])
    await foreign.close()
    const url = new URL(apple.url)
    await apple.close()
    const away = await unlock(FORM)
    expect([away.status, away.json<{ error: string }>().error]).toEqual([500, expect.stringContaining(`ECONNREFUSED 127.0.0.1:${url.port}`)])
    expect(away.body.toString()).not.toContain(ESCROW_KEY)
  })

  it('needs a key', async () => {
    expect((await unlock(FORM, 'POST', basic('nanomdm', 'wrong'))).status).toBe(401)
  })

  it('is recorded, and the escrow key is kept nowhere', async () => {
    const [event] = await server.db.query<{ actor: string; data: object }>(`select actor, data from events where type = 'activation_lock.unlock_requested' order by seq limit 1`)
    expect(event).toEqual({ actor: expect.stringMatching(/^key_/), data: { serial_number: 'C02ABC', topic: TOPIC } })
    expect(JSON.stringify(server.logs)).toContain('/v1/escrowkeyunlock')
    expect(JSON.stringify(server.logs)).not.toContain(ESCROW_KEY)
    const dump = JSON.stringify(await dumpTables(server.db))
    for (const text of [ESCROW_KEY, Buffer.from(ESCROW_KEY).toString('hex')]) expect(dump).not.toContain(text)
  })
})
