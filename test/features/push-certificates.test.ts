import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { dumpTables, KEY, startBramley, still, TOPIC, until, uploadPushCertificate, type TestServer } from '../support/bramley.ts'
import { downloadProfile, enrolledDevice, type RawDevice } from '../support/raw-device.ts'
import { startRefusingApns } from '../support/refusing-apns.ts'

const OTHER = 'com.apple.mgmt.External.11111111-2222-3333-4444-555555555555'
const THIRD = 'com.apple.mgmt.External.99999999-2222-3333-4444-555555555555'

interface Shown {
  id: string
  topic: string
  sha256: string
  state: string
  days_left: number
  device_count: number
  default_for_new: boolean
  stopped_reason: string | null
  apple_account_memo: string | null
}

let server: TestServer
beforeAll(async () => {
  server = await startBramley({ pushCertificate: false })
})
afterAll(() => server.stop())

/** Nobody is enrolled or on the way, and one certificate is held. */
beforeEach(async () => {
  await server.db.query('delete from push_wakes')
  await server.db.query(`update enrollments set state = 'unenrolled'`)
  await server.db.query(`update enrollment_attempts set updated_at = now() - interval '2 days'`)
  await server.db.query('delete from push_certificates')
  expect((await upload(TOPIC)).status).toBe(201)
})

let number = 0
const device = (topic = TOPIC): Promise<RawDevice> => enrolledDevice(server, `00008170-${String(++number).padStart(12, '0')}`, {
  authenticate: { Topic: topic }, token: { Topic: topic, Token: server.apns.register(topic) },
})
const upload = (topic: string, more: Record<string, unknown> = {}, days?: number) => {
  const { certificatePem, keyPem } = server.apns.issuePushCertificate(topic, days)
  return server.api('POST', '/push-certificates', { certificate: certificatePem, key: keyPem, ...more })
}
const shown = async (topic: string) => (
  (await server.api('GET', '/push-certificates')).json<{ data: Shown[] }>().data.find((certificate) => certificate.topic === topic)
)
const idOf = async (topic: string) => (await shown(topic))?.id ?? 'none'
/** When a device was seen and a key was used last. */
const UNWATCHED = new Set(['enrollment_sightings', 'api_keys'])

/** What this does must change nothing that is stored. */
async function storesNothing<T>(act: () => Promise<T>): Promise<T> {
  await still(server)
  const before = await dumpTables(server.db, UNWATCHED)
  const result = await act()
  expect(await dumpTables(server.db, UNWATCHED)).toEqual(before)
  return result
}

describe('a certificate of the same topic', () => {
  it('renews: the id, the memo, the default and the devices stay; no answer holds the key', async () => {
    await device()
    const first = (await upload(TOPIC, { apple_account_memo: 'push@example.com' })).json<Shown>()
    const answer = await upload(TOPIC)
    expect(answer.status).toBe(201)
    expect(answer.json<Shown>()).toMatchObject({ id: first.id, apple_account_memo: 'push@example.com', default_for_new: true, device_count: 1 })
    expect(answer.json<Shown>().sha256).not.toBe(first.sha256)
    expect(answer.body.toString()).not.toContain('PRIVATE')
    expect(await server.db.query('select topic from push_certificates')).toEqual([{ topic: TOPIC }])
  })

  it('is refused when it ends before the one that is held, unless Apple refuses that one', async () => {
    const refused = await storesNothing(() => upload(TOPIC, {}, 100))
    expect(refused.json()).toMatchObject({ status: 422, code: 'push_certificate_refused', errors: [{ pointer: '/certificate', code: 'older' }] })
    await server.db.query(`update push_certificates set stopped_reason = 'BadCertificate'`)
    expect((await upload(TOPIC, {}, 100)).json()).toMatchObject({ state: 'ok', stopped_reason: null })
  })
})

describe('a certificate of another topic', () => {
  it('is refused with the number of devices that depend on theirs, and nothing is stored', async () => {
    await device()
    await device()
    const refused = await storesNothing(() => upload(OTHER))
    expect(refused.json()).toMatchObject({
      status: 409, code: 'push_topic_mismatch', affected_devices: 2, confirm: { field: 'keep_both', value: true },
      detail: `2 of 2 enrolled devices use ${TOPIC}. The uploaded certificate is for ${OTHER}.`,
    })
    expect((await storesNothing(() => upload(OTHER, { keep_both: false }))).status).toBe(409)
  })

  it('is refused, too, while devices of another server depend on a topic whose certificate was not uploaded yet', async () => {
    await device()
    await server.db.query(`update enrollments set topic = $1 where state = 'enrolled'`, [THIRD])
    const refused = await storesNothing(() => upload(OTHER))
    expect(refused.json()).toMatchObject({ code: 'push_topic_mismatch', affected_devices: 1, detail: expect.stringContaining(THIRD) })
    expect((await upload(THIRD)).status).toBe(201)
  })

  it('takes the place of one that no device depends on any more', async () => {
    const phone = await device()
    expect((await phone.checkin({ MessageType: 'CheckOut' })).status).toBe(200)
    expect((await upload(OTHER)).json()).toMatchObject({ topic: OTHER, default_for_new: true })
    expect(await shown(TOPIC)).toMatchObject({ default_for_new: false, device_count: 0 })
  })

  it('is kept beside the present one when asked: devices of both are pushed, and new enrollments get the new one', async () => {
    const old = await device()
    expect((await upload(OTHER, { keep_both: true })).json()).toMatchObject({ topic: OTHER, default_for_new: true, device_count: 0 })
    expect((await downloadProfile(server, await server.link())).topic).toBe(OTHER)
    const young = await device(OTHER)
    expect([(await shown(TOPIC))?.device_count, (await shown(OTHER))?.device_count]).toEqual([1, 1])
    for (const [phone, topic] of [[old, TOPIC], [young, OTHER]] as const) {
      await server.db.query('delete from push_wakes')
      const before = server.apns.received.length
      await server.api('POST', `/devices/${phone.udid}/commands`, { type: 'ProfileList' })
      await until(async () => server.apns.received.length > before, 'the push')
      expect(server.apns.received.at(-1)?.topic).toBe(topic)
      expect((await phone.idle())?.['CommandUUID']).toBeDefined()
    }
  })

  it('once kept is renewed like the first, and new enrollments go on getting what they got', async () => {
    await device()
    await upload(OTHER, { keep_both: true })
    await device(OTHER)
    expect((await upload(TOPIC)).json()).toMatchObject({ topic: TOPIC, default_for_new: false })
    expect((await upload(OTHER)).json()).toMatchObject({ topic: OTHER, default_for_new: true })
    expect((await upload(TOPIC, { keep_both: true })).json()).toMatchObject({ topic: TOPIC, default_for_new: true })
    expect(await shown(OTHER)).toMatchObject({ default_for_new: false })
  })

  it('is the only one for new enrollments, however many are uploaded at the same moment', async () => {
    const answers = await Promise.all([OTHER, THIRD, `${OTHER}.a`, `${OTHER}.b`].map((topic) => upload(topic)))
    expect(answers.map((answer) => answer.status)).toEqual([201, 201, 201, 201])
    expect(await server.db.query('select 1 from push_certificates where default_for_new')).toHaveLength(1)
  })
})

describe('what is no push certificate', () => {
  const raw = (body: string) => server.http('POST', '/api/v1/push-certificates', { headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/x-www-form-urlencoded' }, body })

  it('is refused with the reason and where it lies, and nothing is stored', async () => {
    const good = server.apns.issuePushCertificate(TOPIC)
    const other = server.apns.issuePushCertificate(TOPIC)
    const ended = server.apns.issuePushCertificate(TOPIC, -0.5)
    const app = server.apns.issuePushCertificate('com.example.app')
    const bodies: [Record<string, unknown>, string, string][] = [
      [{ certificate: good.certificatePem }, '/certificate', 'no_key'],
      [{ certificate: good.keyPem }, '/certificate', 'no_certificate'],
      [{ certificate: 'hello' }, '/certificate', 'not_pem'],
      [{ certificate: good.certificatePem, key: other.keyPem }, '/key', 'key_mismatch'],
      [{ certificate: app.certificatePem, key: app.keyPem }, '/certificate', 'wrong_topic_prefix'],
      [{ certificate: ended.certificatePem, key: ended.keyPem }, '/certificate', 'expired'],
      [{ p12: Buffer.from('no p12').toString('base64') }, '/p12', 'p12'],
    ]
    await storesNothing(async () => {
      for (const [body, pointer, code] of bodies) {
        const answer = (await server.api('POST', '/push-certificates', body)).json()
        expect(answer).toMatchObject({ status: 422, code: 'push_certificate_refused', errors: [{ pointer, code, detail: expect.any(String) }] })
      }
    })
  })

  it('is told from one in raw PEM, which may come in any order', async () => {
    const { certificatePem, keyPem } = server.apns.issuePushCertificate(TOPIC)
    const other = server.apns.issuePushCertificate(TOPIC)
    expect((await raw(`${keyPem}${certificatePem}`)).status).toBe(201)
    await storesNothing(async () => {
      expect((await raw(certificatePem)).json()).toMatchObject({ code: 'push_certificate_refused', errors: [{ code: 'no_key' }] })
      expect((await raw('hello')).json()).toMatchObject({ code: 'push_certificate_refused', errors: [{ code: 'not_pem' }] })
      expect((await raw(`${other.keyPem}${certificatePem}`)).json()).toMatchObject({ errors: [{ code: 'key_mismatch' }] })
    })
  })
})

describe('the list', () => {
  it('says of each certificate how it stands', async () => {
    expect(await shown(TOPIC)).toMatchObject({ state: 'ok', days_left: 364, device_count: 0 })
    await upload(OTHER, {}, 20)
    expect(await shown(OTHER)).toMatchObject({ state: 'expires_soon', days_left: 19 })
    await server.db.query(`update push_certificates set stopped_reason = 'BadCertificate' where topic = $1`, [OTHER])
    expect(await shown(OTHER)).toMatchObject({ state: 'stopped', stopped_reason: 'BadCertificate' })
    await server.db.query(`update push_certificates set not_after = now() - interval '1 hour' where topic = $1`, [OTHER])
    expect(await shown(OTHER)).toMatchObject({ state: 'expired', days_left: -1 })
  })
})

describe('deleting a certificate', () => {
  const remove = async (topic: string) => server.api('DELETE', `/push-certificates/${await idOf(topic)}`)

  it('is refused with the number while devices depend on it, held and blocked ones too; nothing is stored', async () => {
    await device()
    const blocked = await device()
    await server.db.query(`update enrollments set state = 'blocked' where device_key = $1`, [blocked.udid])
    await upload(OTHER, { keep_both: true })
    const refused = await storesNothing(() => remove(TOPIC))
    expect(refused.json()).toMatchObject({ status: 409, code: 'push_certificate_in_use', affected_devices: 2, detail: `2 devices depend on ${TOPIC} and could not be reached again.` })
  })

  it('is refused while new enrollments get it, and while a phone may still come with it', async () => {
    expect((await storesNothing(() => remove(TOPIC))).json()).toMatchObject({ code: 'push_certificate_in_use', affected_devices: 0 })
    await downloadProfile(server, await server.link())
    await upload(OTHER)
    expect((await storesNothing(() => remove(TOPIC))).json()).toMatchObject({ code: 'push_certificate_in_use', affected_devices: 0, detail: expect.stringContaining('1 enrollment profile') })
  })

  it('takes it and its key away once nobody needs it', async () => {
    const phone = await device()
    await phone.checkin({ MessageType: 'CheckOut' })
    await upload(OTHER)
    const id = await idOf(TOPIC)
    expect((await remove(TOPIC)).status).toBe(204)
    expect(await server.db.query('select topic from push_certificates')).toEqual([{ topic: OTHER }])
    expect(await server.db.query(`select data->>'push_certificate' as id from events where type = 'push_certificate.deleted'`)).toEqual([{ id }])
    expect((await remove(TOPIC)).status).toBe(404)
  })
})

describe('an Apple that refuses the certificate in the TLS handshake', () => {
  let other: TestServer
  let apns: Awaited<ReturnType<typeof startRefusingApns>>
  beforeAll(async () => {
    apns = await startRefusingApns(inject('runFolder'), TOPIC)
    const ca = join(inject('runFolder'), 'refusing-apns-ca.pem')
    writeFileSync(ca, apns.caPem)
    other = await startBramley({ settings: { BRAMLEY_APNS_PORT: String(apns.port), BRAMLEY_APNS_CA: ca } })
  })
  afterAll(async () => {
    await other.stop()
    await apns.close()
  })

  it('stops the topic, loudly; the devices stay enrolled and keep their tokens', async () => {
    const phone = await enrolledDevice(other, '00008170-999999999999')
    await other.api('POST', `/devices/${phone.udid}/commands`, { type: 'ProfileList' })
    const stopped = await until(async () => (await other.api('GET', '/push-certificates')).json<{ data: Shown[] }>().data.find(({ state }) => state === 'stopped'), 'the stop')
    expect(stopped).toMatchObject({ topic: TOPIC, stopped_reason: 'TLS alert unknown_ca', device_count: 1 })
    expect(other.logs).toContainEqual(expect.objectContaining({ level: 50, topic: TOPIC, reason: 'TLS alert unknown_ca' }))
    expect(await other.db.query(`select data->>'reason' as reason from events where type = 'push.topic_broken'`)).toEqual([{ reason: 'TLS alert unknown_ca' }])
    expect(await other.db.query('select state, push_stopped_at, push_token is not null as token from enrollments')).toEqual([{ state: 'enrolled', push_stopped_at: null, token: true }])
    expect((await uploadPushCertificate(other, other.apns)).json()).toMatchObject({ state: 'ok', stopped_reason: null })
  })
})
