import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { Signer } from '../../src/apple/wire/cms-sign.ts'
import { writeCertificatePem } from '../../src/apple/wire/pem.ts'
import { distinguishedName } from '../../src/apple/wire/x509-name.ts'
import { certificateAuthority, certify, DAY, deviceCaOf, refused } from '../support/attacks.ts'
import { startBramley, uploadPushCertificate, type TestServer } from '../support/bramley.ts'
import { enrolledDevice, rawDevice } from '../support/raw-device.ts'

const theirs = certificateAuthority(distinguishedName([['O', 'Old server'], ['CN', 'Device CA']]))
const ended = certificateAuthority(distinguishedName([['CN', 'Ended CA']]), { from: -2 * DAY, to: -DAY })
const FOREIGN = 'com.apple.mgmt.External.11111111-2222-3333-4444-555555555555'

let server: TestServer
let serial = 0
const udid = () => `00008120-0000000000${(serial++).toString(16).padStart(2, '0').toUpperCase()}`
const states = async (device: string) => (await server.db.query<{ state: string }>('select state from enrollments where device_key = $1 order by generation', [device])).map((row) => row.state)

function start(o: { pushCertificate?: boolean } = {}): Promise<TestServer> {
  const file = join(inject('runFolder'), `extra-${process.pid}.pem`)
  writeFileSync(file, [theirs, ended].map((ca) => writeCertificatePem(ca.certificate.der)).join(''))
  return startBramley({ ...o, settings: { BRAMLEY_EXTRA_DEVICE_CAS: file } })
}

describe('a certificate of an extra CA', () => {
  beforeAll(async () => {
    server = await start()
  })
  afterAll(() => server.stop())
  const newcomer = (device: string, identity: Signer = certify({ issuer: theirs })) => rawDevice(server, device, identity)

  it('enrolls a device that was never here, is bound to it for ever, and is audited', async () => {
    const device = newcomer(udid())
    expect([(await device.authenticate()).status, (await device.tokenUpdate()).status]).toEqual([200, 200])
    await server.api('POST', `/devices/${device.udid}/commands`, { type: 'ProfileList' })
    expect((await device.idle())?.['Command']).toMatchObject({ RequestType: 'ProfileList' })
    const { certificate } = device.identity
    const events = await server.db.query<{ data: Record<string, unknown> }>(`select data from events where type = 'certificate.adopted' and data->>'sha256' = $1`, [certificate.sha256.toString('hex')])
    expect(events.map(({ data }) => data)).toEqual([expect.objectContaining({ serial_number: certificate.serialNumber, issuer: 'O=Old server, CN=Device CA' })])
    await refused(server, 'cert_enrollment_mismatch', () => newcomer(udid(), device.identity).authenticate())
    await refused(server, 'cert_enrollment_mismatch', () => newcomer(udid(), device.identity).report({ Status: 'Idle' }))
  })

  it('is recorded once, however often and however much at once it authenticates', async () => {
    const device = newcomer(udid())
    const answers = await Promise.all([1, 2, 3, 4].map(() => device.authenticate()))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(await states(device.udid)).toEqual(['identity_issued'])
    expect(await server.db.query(`select 1 from events where type = 'certificate.adopted' and data->>'sha256' = $1`, [device.identity.certificate.sha256.toString('hex')])).toHaveLength(1)
  })

  it('may share its serial number with others', async () => {
    const serialNumber = randomBytes(16)
    for (const device of [udid(), udid()]) expect((await newcomer(device, certify({ issuer: theirs, serialNumber })).authenticate()).status).toBe(200)
  })

  it('is unknown to every message but Authenticate', async () => {
    const device = newcomer(udid())
    await refused(server, 'unknown_certificate', () => device.tokenUpdate())
    await refused(server, 'unknown_certificate', () => device.checkin({ MessageType: 'CheckOut' }))
    await refused(server, 'unknown_certificate', () => device.report({ Status: 'Idle' }))
  })

  it('17: is held where a device of ours is enrolled, until an administrator decides', async () => {
    const old = await enrolledDevice(server, udid())
    const thief = newcomer(old.udid)
    expect([(await thief.authenticate()).status, (await thief.tokenUpdate()).status]).toEqual([200, 200])
    await server.api('POST', `/devices/${old.udid}/commands`, { type: 'ProfileList' })
    expect((await thief.report({ Status: 'Idle' })).body).toHaveLength(0)
    expect((await old.idle())?.['Command']).toMatchObject({ RequestType: 'ProfileList' })
    expect(await states(old.udid)).toEqual(['enrolled', 'pending_approval'])
    expect((await server.api('POST', `/devices/${old.udid}/enrollment/reject`)).status).toBe(200)
    await refused(server, 'revoked', () => thief.authenticate())
  })

  it.each([
    ['silent for long', `insert into enrollment_sightings select max(id), now() - interval '60 days' from enrollments on conflict (enrollment_id) do update set last_seen_at = excluded.last_seen_at`],
    ['revoked', 'update certificates set revoked_at = now() where enrollment_id = (select max(id) from enrollments)'],
    ['not finished', `update enrollments set state = 'identity_issued' where id = (select max(id) from enrollments)`],
    ['ended', `update enrollments set state = 'unenrolled' where id = (select max(id) from enrollments)`],
  ])('17: is held also where the one before is %s', async (_name, sql) => {
    const old = await enrolledDevice(server, udid())
    const [before] = await states(old.udid)
    expect(before).toBe('enrolled')
    await server.db.query(sql)
    expect((await newcomer(old.udid).authenticate()).status).toBe(200)
    expect((await states(old.udid))[1]).toBe('pending_approval')
  })

  it('2: cannot be used by another CA’s certificate for the same device', async () => {
    const device = newcomer(udid())
    await device.authenticate()
    const other = newcomer(device.udid)
    expect((await other.authenticate()).status).toBe(200)
    expect(await states(device.udid)).toEqual(['identity_issued', 'pending_approval'])
  })

  it('brings no topic along while we hold a push certificate', async () => {
    await refused(server, 'topic_refused', () => newcomer(udid()).authenticate({ Topic: FOREIGN }))
  })

  it.each<[string, string, () => Signer]>([
    ['5: of a CA with the same name', 'untrusted_issuer', () => certify({ issuer: certificateAuthority(theirs.certificate.subject) })],
    ['6: expired', 'expired', () => certify({ issuer: theirs, from: -2 * DAY, to: -DAY })],
    ['6: not valid yet', 'not_yet_valid', () => certify({ issuer: theirs, from: DAY, to: 2 * DAY })],
    ['6: of a CA that has ended', 'expired', () => certify({ issuer: ended })],
    ['7: for servers', 'wrong_usage', () => certify({ issuer: theirs, profile: 'server' })],
    ['7: of a CA below it', 'wrong_usage', () => certify({ issuer: theirs, profile: 'ca' })],
    ['7: the CA itself', 'wrong_usage', () => theirs],
  ])('%s: is refused', (_name, reason, identity) => refused(server, reason, () => newcomer(udid(), identity()).authenticate()))

  it('does not open the door to certificates of our own CA that nobody was issued', async () => {
    const ca = await deviceCaOf(server)
    await refused(server, 'unknown_certificate', () => newcomer(udid(), certify({ issuer: ca })).authenticate())
  })
})

describe('while no push certificate is held', () => {
  beforeAll(async () => {
    server = await start({ pushCertificate: false })
  })
  afterAll(() => server.stop())

  it('every topic of Apple’s management is accepted from an extra CA, until there is one', async () => {
    const device = rawDevice(server, udid(), certify({ issuer: theirs }))
    await refused(server, 'value', () => device.authenticate({ Topic: 'com.example.app' }))
    expect([(await device.authenticate({ Topic: FOREIGN })).status, (await device.tokenUpdate({ Topic: FOREIGN })).status]).toEqual([200, 200])
    expect((await uploadPushCertificate(server, server.apns, FOREIGN)).status).toBe(201)
    expect((await device.tokenUpdate({ Topic: FOREIGN })).status).toBe(200)
    await refused(server, 'topic_refused', () => device.tokenUpdate({ Topic: `${FOREIGN}0` }))
  })
})
