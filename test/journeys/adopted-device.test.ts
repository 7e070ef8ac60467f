import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createCsr } from '../../src/apple/wire/csr.ts'
import type { Signer } from '../../src/apple/wire/cms-sign.ts'
import { enrollmentProfile, readEnrollmentProfile } from '../../src/apple/wire/mobileconfig.ts'
import { writeCertificatePem } from '../../src/apple/wire/pem.ts'
import { pkcsReq, readCertRep } from '../../src/apple/wire/scep-client.ts'
import { distinguishedName } from '../../src/apple/wire/x509-name.ts'
import { freshSecrets, rememberProfile } from '../../src/simulator/check-in.ts'
import { freshState } from '../../src/simulator/device-state.ts'
import { connectApnsListener, makeHardware, MODELS, randomSerialNumber, SimulatedDevice, type ApnsListener } from '../../src/simulator/index.ts'
import { certificateAuthority, certify, refused } from '../support/attacks.ts'
import { dumpTables, startBramley, still, TOPIC, until, type TestServer } from '../support/bramley.ts'
import { caCertificates, enrolledDevice, rawDevice } from '../support/raw-device.ts'

const theirs = certificateAuthority(distinguishedName([['CN', 'CA of the old server']]))
const oldKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey

let server: TestServer
let apns: ApnsListener
beforeAll(async () => {
  const file = join(inject('runFolder'), `adopted-${process.pid}.pem`)
  writeFileSync(file, writeCertificatePem(theirs.certificate.der))
  server = await startBramley({ settings: { BRAMLEY_EXTRA_DEVICE_CAS: file } })
  apns = await connectApnsListener({ host: '127.0.0.1', port: server.apns.port, ca: server.apns.caPem })
})
afterAll(async () => {
  await apns?.close()
  await server?.stop()
})

const uuid = () => randomUUID().toUpperCase()
/** The old server's profile, or its newer version with another SCEP payload. */
const theirProfile = (scep: { url: string; challenge: string }) => enrollmentProfile({
  identifier: 'com.example.old.enroll', uuid: uuid(), mdmUuid: uuid(), scepUuid: uuid(), displayName: 'Old', organization: 'Old', description: 'Of the old server',
  serverUrl: `${server.url}/mdm`, topic: TOPIC, accessRights: 8191, scep: { name: 'Old', subject: [['CN', 'device']], ...scep },
})

/** A phone that the old server enrolled, and whose host name is ours now. */
async function oldPhone(): Promise<SimulatedDevice> {
  const profileXml = theirProfile({ url: `${server.url}/scep`, challenge: 'the same for everybody' })
  const profile = readEnrollmentProfile(profileXml)
  const hardware = makeHardware(MODELS[0]!, randomSerialNumber())
  const identity = certify({ issuer: theirs, key: oldKey })
  const state = freshState(hardware, {})
  const memory = {
    hardware, state, phase: 'enrolled' as const,
    enrollment: { profileXml, profile, identity, pushToken: await apns.register(TOPIC), users: [], ...freshSecrets({ hardware, state }, profile) },
  }
  rememberProfile(memory)
  const phone = new SimulatedDevice(memory, { ca: server.ca, apns })
  await phone.checkIn()
  return phone
}

const open = (udid: string, headers = {}) => server.api('POST', `/devices/${udid}/identity/renewal`, undefined, headers)
const enrollmentsOf = (udid: string) => server.db.query(`select generation, state from enrollments where device_key = $1`, [udid])
const certificatesOf = (udid: string) => server.db.query<{ purpose: string; ours: boolean; revoked: string | null }>(
  `select c.purpose, c.subject like 'O=Bramley%' as ours, c.revocation_reason as revoked from certificates c
   join enrollments e on e.id = c.enrollment_id where e.device_key = $1 order by c.issued_at`, [udid])
const eventsOf = async (udid: string) => (await server.db.query<{ type: string }>(
  `select type from events where device_id = (select id from devices where device_key = $1) and type <> 'device.updated' and type not like 'command.%' order by seq`, [udid],
)).map(({ type }) => type)

describe('a device that came with an identity of an extra CA', () => {
  it('gets one of ours by a newer version of its profile, and stays who it is', async () => {
    const phone = await oldPhone()
    const { udid } = phone.hardware
    const old = phone.memory.enrollment.identity
    const opened = await open(udid)
    expect([opened.status, opened.json()]).toEqual([201, {
      device: expect.stringMatching(/^dev_/), scep_url: `${server.url.replace('127.0.0.1', 'localhost')}/scep`,
      challenge: expect.stringMatching(/^[\w-]{43}$/), expires_at: expect.any(String),
    }])
    const { challenge } = opened.json<{ challenge: string }>()
    const newer = theirProfile({ url: `${server.url}/scep`, challenge })
    phone.behaviour = 'offline'
    await server.api('POST', `/devices/${udid}/commands`, { type: 'InstallProfile', params: { Payload: { $data: newer.toString('base64') } } })
    await server.api('POST', `/devices/${udid}/commands`, { type: 'SecurityInfo' })
    await phone.behave('answers')
    await phone.executed(2)
    await phone.settled()
    expect(phone.history.map(({ requestType, status }) => [requestType, status])).toEqual([['InstallProfile', 'Acknowledged'], ['SecurityInfo', 'Acknowledged']])
    expect(await enrollmentsOf(udid)).toEqual([{ generation: 1, state: 'enrolled' }])
    expect(await certificatesOf(udid)).toEqual([
      { purpose: 'enrollment', ours: false, revoked: 'superseded' }, { purpose: 'renewal', ours: true, revoked: null },
    ])
    expect(await eventsOf(udid)).toEqual([
      'certificate.adopted', 'device.enrolling', 'device.enrolled', 'device.renewal_opened', 'device.identity_renewed', 'device.token_updated',
    ])
    await refused(server, 'revoked', () => rawDevice(server, udid, old).report({ Status: 'Idle' }))
    await phone.stop()
  })

  it('needs the extra CA no more afterwards', async () => {
    const phone = await oldPhone()
    const { udid } = phone.hardware
    await phone.renewIdentity()
    const without = await startBramley({ beside: server })
    expect((await rawDevice(without, udid, phone.memory.enrollment.identity).report({ Status: 'Idle' })).status).toBe(200)
    await without.stop()
    await phone.stop()
  })

  it('gets one of ours by SCEP renewal too, again and again', async () => {
    const phone = await oldPhone()
    const { udid } = phone.hardware
    await phone.renewIdentity()
    await phone.renewIdentity({ announce: false })
    await phone.poll()
    expect(await enrollmentsOf(udid)).toEqual([{ generation: 1, state: 'enrolled' }])
    expect((await certificatesOf(udid)).map(({ purpose, revoked }) => [purpose, revoked])).toEqual([
      ['enrollment', 'superseded'], ['renewal', 'superseded'], ['renewal', null],
    ])
    await phone.stop()
  })
})

describe('a renewal challenge', () => {
  it('is for this device: its certificate speaks for no other', async () => {
    const [one, other] = [await oldPhone(), await oldPhone()]
    const { challenge } = (await open(one.hardware.udid)).json<{ challenge: string }>()
    const identity = await redeem({ challenge })
    await refused(server, 'cert_enrollment_mismatch', () => rawDevice(server, other.hardware.udid, identity).authenticate())
    expect((await rawDevice(server, one.hardware.udid, identity).report({ Status: 'Idle' })).status).toBe(200)
    await one.stop()
    await other.stop()
  })

  it('gives nothing once the device has left', async () => {
    const phone = await oldPhone()
    const { challenge } = (await open(phone.hardware.udid)).json<{ challenge: string }>()
    await phone.checkOut()
    await failsWith('not_current', () => redeem({ challenge }))
    expect((await open(phone.hardware.udid)).json()).toMatchObject({ code: 'device_unenrolled' })
    await phone.stop()
  })

  it('is not made for who is unknown, nor by a key without the scope admin', async () => {
    expect((await open('00008120-FFFFFFFFFFFFFFFF')).status).toBe(404)
    const { token } = (await server.api('POST', '/api-keys', { name: 'x', scopes: ['enrollment:write', 'devices:write'] })).json<{ token: string }>()
    const device = await enrolledDevice(server, '00008150-0000000000000A01')
    expect((await open(device.udid, { authorization: `Bearer ${token}` })).json()).toMatchObject({ code: 'missing_scope', scope: 'admin' })
    expect(await server.db.query(`select 1 from scep_challenges where device_key = $1`, [device.udid])).toEqual([])
  })

  it('is not held by a request that waits for the enrollment: nobody waits for each other', async () => {
    const device = await enrolledDevice(server, '00008150-0000000000000A04')
    const { challenge } = (await open(device.udid)).json<{ challenge: string }>()
    const other = new pg.Client({ connectionString: server.db.url })
    await other.connect()
    await other.query('begin')
    await other.query('select 1 from enrollments where device_key = $1 for update', [device.udid])
    const waiting = redeem({ challenge })
    await until(async () => (await server.db.query(`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`)).length > 0, 'the request to wait')
    expect((await other.query('select 1 from scep_challenges where device_key = $1 for update nowait', [device.udid])).rowCount).toBe(1)
    await other.query('rollback')
    await other.end()
    expect((await waiting).certificate.isCa).toBe(false)
  })

  it('may be announced twice, when the first answer is lost: queue, tokens and history stay', async () => {
    const phone = await oldPhone()
    const { udid } = phone.hardware
    await phone.stop()
    const { challenge } = (await open(udid)).json<{ challenge: string }>()
    const renewed = rawDevice(server, udid, await redeem({ challenge }))
    const { id } = (await server.api('POST', `/devices/${udid}/commands`, { type: 'SecurityInfo' })).json<{ id: string }>()
    const standing = () => server.db.query('select generation, state, push_magic, sealed_unlock_token from enrollments where device_key = $1', [udid])
    const before = await standing()
    for (let time = 0; time < 3; time++) expect((await renewed.authenticate()).status).toBe(200)
    expect(await standing()).toEqual(before)
    expect(await server.db.query('select state from commands where id = $1', [id])).toEqual([{ state: 'queued' }])
    expect((await renewed.tokenUpdate()).status).toBe(200)
    // From now on Authenticate is what it always is: the device begins again.
    expect((await renewed.authenticate()).status).toBe(200)
    expect(await enrollmentsOf(udid)).toEqual([{ generation: 2, state: 'identity_issued' }])
  })

  it('works for a device of our own CA too', async () => {
    const device = await enrolledDevice(server, '00008150-0000000000000A02')
    await server.api('POST', `/devices/${device.udid}/commands`, { type: 'ProfileList' })
    const renewed = rawDevice(server, device.udid, await redeem((await open(device.udid)).json()))
    expect([(await renewed.authenticate()).status, (await renewed.tokenUpdate()).status]).toEqual([200, 200])
    expect((await renewed.idle())?.['Command']).toMatchObject({ RequestType: 'ProfileList' })
    await refused(server, 'revoked', () => device.report({ Status: 'Idle' }))
  })
})

describe('SCEP renewal by an identity of an extra CA', () => {
  it('is not for one that nobody here knows, nor for one that is held', async () => {
    const stranger = certify({ issuer: theirs, key: oldKey })
    await failsWith('not_bound', () => redeem({ signer: stranger }))
    const device = await enrolledDevice(server, '00008150-0000000000000A03')
    expect((await rawDevice(server, device.udid, stranger).authenticate()).status).toBe(200)
    await failsWith('not_current', () => redeem({ signer: stranger }))
  })
})

/** Asks /scep for an identity: with a challenge, or with a RenewalReq that `signer` signs. Throws what SCEP said. */
async function redeem(o: { challenge?: string; signer?: Signer }): Promise<Signer> {
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const subject = distinguishedName([['CN', 'device']])
  const signer = o.signer ?? certify({ issuer: theirs, key })
  const [recipient] = (await caCertificates(server)).filter((certificate) => !certificate.isCa)
  const csr = createCsr({ subject, key, ...(o.challenge !== undefined && { challengePassword: o.challenge }) })
  const body = pkcsReq({ csr, signer, recipient: recipient!, messageType: o.signer ? '17' : '19', transactionId: randomBytes(16).toString('hex') })
  const answer = await server.http('POST', '/scep?operation=PKIOperation', { headers: { 'content-type': 'application/x-pki-message' }, body })
  const { certificate, failInfo } = readCertRep(answer.body, signer)
  if (!certificate) throw new Error(`SCEP failed: ${failInfo}`)
  return { certificate, key }
}

/** Expects a FAILURE with this reason in the log, and every table as it was but for the counted failure. */
async function failsWith(reason: string, ask: () => Promise<unknown>): Promise<void> {
  await still(server)
  const besides = new Set(['enrollment_sightings', 'throttles'])
  const before = await dumpTables(server.db, besides)
  const logged = server.logs.length
  await expect(ask()).rejects.toThrow('SCEP failed')
  expect(server.logs.slice(logged).map((line) => line['reason'])).toContain(reason)
  expect(await dumpTables(server.db, besides)).toEqual(before)
}
