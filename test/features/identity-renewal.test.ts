import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Signer } from '../../src/apple/wire/cms-sign.ts'
import { createCsr } from '../../src/apple/wire/csr.ts'
import type { EnrollmentId } from '../../src/base/ids.ts'
import { findCertificate, mintRenewalChallenge, revokeCertificate } from '../../src/features/identity/index.ts'
import {
  ask,
  certify,
  challengeFor,
  enrolledPhone,
  expectRefused,
  makeKey,
  nameOf,
  openHouse,
  type Asked,
  type House,
} from './scep-device.ts'

let house: House
const [oldKey, newKey] = await Promise.all([makeKey(), makeKey()])
let enrollments = 0

beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

const nextEnrollment = () => String(++enrollments)
const renewal = (signer: Signer): Asked => ({ key: newKey, signer, messageType: '17' })
const idOf = (signer: Signer) => signer.certificate.sha256.toString('hex')

describe('a renewal', () => {
  it('signed by the current certificate gets a new one, bound to the same enrollment at once', async () => {
    const enrollment = nextEnrollment()
    const phone = await enrolledPhone(house, oldKey, enrollment)
    const { certificate } = await ask(house, renewal(phone))
    const [before, after] = await Promise.all(
      [phone.certificate, certificate!].map(({ sha256 }) => findCertificate(house.deps.db.read, sha256)),
    )
    expect(after).toMatchObject({
      purpose: 'renewal',
      enrollmentId: enrollment as EnrollmentId,
      attemptId: before!.attemptId,
      revokedAt: null,
    })
    expect(before).toMatchObject({ purpose: 'enrollment', revokedAt: null })
    expect(certificate!.subject).toEqual(phone.certificate.subject)
    const events = await house.database.query(
      `select data->>'purpose' as purpose from events where data->>'serial_number' = $1`,
      [certificate!.serialNumber],
    )
    expect(events).toEqual([{ purpose: 'renewal' }])
  })

  it('sent again gets the same certificate, also when both come at once', async () => {
    const phone = await enrolledPhone(house, oldKey, nextEnrollment())
    const same = {
      ...renewal(phone),
      csr: createCsr({ subject: nameOf('phone'), key: newKey }),
      transactionId: 'again',
    }
    const answers = [
      ...(await Promise.all([ask(house, same), ask(house, same), ask(house, same)])),
      await ask(house, same),
    ]
    expect(new Set(answers.map(({ certificate }) => certificate?.serialNumber)).size).toBe(1)
    expect(answers[0]?.status).toBe('success')
    await expectRefused(house, { ...same, csr: createCsr({ subject: nameOf('x'), key: newKey }) }, 'renewal_used')
    await house.database.query(
      `update scep_renewals set issued_at = now() - interval '11 minutes' where transaction_id = 'again'`,
    )
    await expectRefused(house, same, 'renewal_used')
  })

  it('is given ten times at most to one certificate', async () => {
    const phone = await enrolledPhone(house, oldKey, nextEnrollment())
    const answers = await Promise.all(Array.from({ length: 12 }, () => ask(house, renewal(phone))))
    expect(answers.filter(({ status }) => status === 'success')).toHaveLength(10)
    await expectRefused(house, renewal(phone), 'renewals')
  })

  it('goes on with the renewed certificate once that is the current one, and no more with the old one', async () => {
    const phone = await enrolledPhone(house, oldKey, nextEnrollment())
    const { certificate } = await ask(house, renewal(phone))
    house.current.delete(idOf(phone))
    house.current.add(certificate!.sha256.toString('hex'))
    await expectRefused(house, renewal(phone), 'not_current')
    expect((await ask(house, { ...renewal({ certificate: certificate!, key: newKey }), key: oldKey })).status).toBe(
      'success',
    )
  })
})

describe('a renewal challenge', () => {
  const mint = (enrollment: string) => house.deps.work({ kind: 'system' }, (work) =>
    mintRenewalChallenge(work, house.deps.vault, { enrollmentId: enrollment as EnrollmentId, attemptId: null, deviceKey: '00008120-0000000000000001' }))

  it('gets one certificate, bound to the enrollment at once', async () => {
    const enrollment = nextEnrollment()
    const { challenge, expiresAt } = await mint(enrollment)
    expect(Math.abs(expiresAt.getTime() - Date.now() - 3_600_000)).toBeLessThan(60_000)
    const { certificate } = await ask(house, { key: newKey, challenge })
    expect(await findCertificate(house.deps.db.read, certificate!.sha256)).toMatchObject({
      purpose: 'renewal', enrollmentId: enrollment, attemptId: null, deviceKey: '00008120-0000000000000001', revokedAt: null,
    })
    await expectRefused(house, { key: newKey, challenge }, 'challenge_used')
    const events = await house.database.query(`select data from events where data->>'serial_number' = $1`, [certificate!.serialNumber])
    expect(events).toEqual([{ data: { attempt: null, serial_number: certificate!.serialNumber, purpose: 'renewal', enrollment } }])
  })

  it('of many requests at once is good for one', async () => {
    const { challenge } = await mint(nextEnrollment())
    const answers = await Promise.all(Array.from({ length: 5 }, () => ask(house, { key: newKey, challenge })))
    expect(answers.filter(({ status }) => status === 'success')).toHaveLength(1)
  })

  it('ends when another is made for the enrollment, and no other one does', async () => {
    const enrollment = nextEnrollment()
    const [first, other] = [await mint(enrollment), await mint(nextEnrollment())]
    const second = await mint(enrollment)
    await expectRefused(house, { key: newKey, challenge: first.challenge }, 'challenge_expired')
    for (const { challenge } of [second, other]) expect((await ask(house, { key: newKey, challenge })).status).toBe('success')
  })

  it('is not used up where the enrollment has ended', async () => {
    const enrollment = nextEnrollment()
    const { challenge } = await mint(enrollment)
    house.ended.add(enrollment)
    await expectRefused(house, { key: newKey, challenge }, 'not_current')
  })
})

describe('a renewal gets nothing, and nothing is stored', () => {
  const ca = () => ({ certificate: house.authorities.deviceCa.certificate, key: house.authorities.deviceCa.key })
  const hour = 3_600_000

  it('when it is self-signed, also with the subject and serial number of a real one', async () => {
    const phone = await enrolledPhone(house, oldKey, nextEnrollment())
    const { subject, serialNumber } = phone.certificate
    const clone = certify(oldKey, { subject, serialNumber: Buffer.from(serialNumber, 'hex') })
    await expectRefused(house, renewal({ certificate: clone, key: oldKey }), 'untrusted_issuer')
  })

  it('when another CA of the same name signed the signer', async () => {
    const twin = certify(newKey, { subject: ca().certificate.subject, profile: 'ca' })
    const signer = { certificate: certify(oldKey, { issuer: { certificate: twin, key: newKey } }), key: oldKey }
    await expectRefused(house, renewal(signer), 'untrusted_issuer')
  })

  it('when the signer is one of our certificates for another purpose', async () => {
    const server = { certificate: certify(oldKey, { issuer: ca(), profile: 'server' }), key: oldKey }
    for (const signer of [server, house.authorities.profileSigner, house.authorities.scepRa]) {
      await expectRefused(house, renewal(signer), 'wrong_usage')
    }
  })

  it('when the signer is expired', async () => {
    const notAfter = new Date(Date.now() - hour)
    const expired = certify(oldKey, { issuer: ca(), notBefore: new Date(Date.now() - 2 * hour), notAfter })
    await expectRefused(house, renewal({ certificate: expired, key: oldKey }), 'expired')
  })

  it('when the signer was never recorded, although our CA made it', async () => {
    const unknown = certify(oldKey, { issuer: ca(), serialNumber: randomBytes(16) })
    await expectRefused(house, renewal({ certificate: unknown, key: oldKey }), 'not_bound')
  })

  it('when the signer is revoked', async () => {
    const phone = await enrolledPhone(house, oldKey, nextEnrollment())
    await house.deps.work({ kind: 'system' }, (work) => revokeCertificate(work, phone.certificate.sha256, 'lost'))
    await expectRefused(house, renewal(phone), 'revoked')
  })

  it('when the signer speaks for no enrollment yet, or for another than the current one', async () => {
    const { certificate } = await ask(house, { key: oldKey, challenge: await challengeFor(house) })
    await expectRefused(house, renewal({ certificate: certificate!, key: oldKey }), 'not_bound')
    const replaced = await enrolledPhone(house, oldKey, nextEnrollment())
    house.current.delete(idOf(replaced))
    await expectRefused(house, renewal(replaced), 'not_current')
  })

  it('as a first request without challenge, although a valid certificate signed it', async () => {
    const phone = await enrolledPhone(house, oldKey, nextEnrollment())
    await expectRefused(house, { key: oldKey, signer: phone }, 'challenge')
    await expectRefused(house, { key: newKey, signer: phone }, 'signer_key')
  })
})
