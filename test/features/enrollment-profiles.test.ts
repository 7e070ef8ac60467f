import { execFileSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse as parsePlist } from 'plist'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { verifyAttached } from '../../src/apple/wire/cms.ts'
import { findAttempt, markStep, profileIdentifier } from '../../src/features/enrollment-profiles/index.ts'
import { contentOf, deliver, makeLink, TOPIC } from './link-visitor.ts'
import { ask, certify, makeKey, openHouse, type House } from './scep-device.ts'

let house: House
let folder: string
const key = await makeKey()

beforeAll(async () => {
  house = await openHouse({
    settings: { BRAMLEY_PUBLIC_URL: 'https://mdm.example.com', BRAMLEY_ORGANIZATION: 'Example & Söhne' },
  })
  folder = mkdtempSync(join(tmpdir(), 'bramley-profiles-'))
})
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await house.close()
})

describe('a delivered profile', () => {
  it('is signed, as OpenSSL verifies against the device CA', async () => {
    const { token } = await makeLink(house)
    const { profile } = await deliver(house, token)
    writeFileSync(join(folder, 'ca.pem'), house.authorities.deviceCa.pem)
    writeFileSync(join(folder, 'profile'), profile)
    const verified = execFileSync(
      'openssl',
      ['cms', '-verify', '-inform', 'DER', '-in', join(folder, 'profile'), '-CAfile', join(folder, 'ca.pem')],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    )
    expect(verified).toContain('<key>PayloadType</key>')
  })

  it('brings the device to this server, with an identity of its own', async () => {
    const { link, token } = await makeLink(house)
    const delivery = await deliver(house, token)
    const profile = contentOf(delivery)
    expect(profile).toMatchObject({
      identifier: 'com.example.mdm.bramley.enrollment',
      serverUrl: 'https://mdm.example.com/mdm',
      topic: TOPIC,
      accessRights: 8191,
      signMessage: true,
      checkOutWhenRemoved: true,
      roots: [],
    })
    expect(profile.scep).toMatchObject({
      url: 'https://mdm.example.com/scep',
      keySize: 2048,
      subject: [
        ['O', 'Example & Söhne'],
        ['CN', delivery.attemptId],
      ],
    })
    expect(await findAttempt(house.deps.db.read, delivery.attemptId)).toMatchObject({
      linkId: link.id,
      ownership: 'company',
      step: 'profile_delivered',
      topic: TOPIC,
      accessRights: 8191,
      deviceKey: null,
      profileIdentifier: 'com.example.mdm.bramley.enrollment',
      enrollmentId: null,
    })
    const events = await house.database.query(`select type, data from events where data->>'link' = $1 order by seq`, [
      link.id,
    ])
    expect(events).toEqual([
      { type: 'enrollment_link.created', data: { link: link.id } },
      { type: 'enrollment_link.used', data: { link: link.id, attempt: delivery.attemptId } },
    ])
  })

  it('names the CA by its SHA-1, the only strong digest that Apple reads there', async () => {
    const { token } = await makeLink(house)
    const fingerprint = new X509Certificate(house.authorities.deviceCa.pem).fingerprint
      .replaceAll(':', '')
      .toLowerCase()
    expect(contentOf(await deliver(house, token)).scep.caFingerprint?.toString('hex')).toBe(fingerprint)
  })

  it('is made for one attempt: challenge and UUIDs are never the same, the identifier always is', async () => {
    const { token } = await makeLink(house)
    const [one, two] = [await deliver(house, token), await deliver(house, token)]
    const uuids = [one, two].flatMap(
      ({ profile }) =>
        verifyAttached(profile)
          .content.toString()
          .match(/[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}/g) ?? [],
    )
    const own = new Set(uuids.filter((uuid) => !TOPIC.includes(uuid)))
    expect(own.size).toBe(6)
    expect(contentOf(one).scep.challenge).not.toBe(contentOf(two).scep.challenge)
    expect(contentOf(one).identifier).toBe(contentOf(two).identifier)
  })

  it('carries a challenge that is good for one certificate, bound to the device the link was made for', async () => {
    const { token } = await makeLink(house, { deviceKey: '00008140-001A2B3C4D5E801C' })
    const delivery = await deliver(house, token)
    const { challenge } = contentOf(delivery).scep
    expect((await ask(house, { key, challenge })).status).toBe('success')
    expect((await ask(house, { key, challenge })).status).toBe('failure')
    const rows = await house.database.query('select device_key from certificates where attempt_id = $1', [
      delivery.attemptId,
    ])
    expect(rows).toEqual([{ device_key: '00008140-001A2B3C4D5E801C' }])
  })

  it('trusts the roots it is given and asks for consent in words made from the rights', async () => {
    const { token } = await makeLink(house, { ownership: 'personal' })
    const root = certify(key, { profile: 'ca' }).der
    const profile = contentOf(await deliver(house, token, { roots: [root] }))
    expect(profile.roots).toEqual([root])
    expect(profile.consentText).toContain('This device will be managed by Example & Söhne.')
    expect(profile.consentText).toContain('• Lock the device and remove its passcode')
    expect(profile.consentText).toMatch(/never see or do:[^]*• Erase this device/)
  })

  it('can be made unremovable, which supervised devices obey', async () => {
    const { token } = await makeLink(house, { removableByUser: false })
    const content = verifyAttached((await deliver(house, token)).profile).content.toString()
    expect(parsePlist(content)).toMatchObject({ PayloadRemovalDisallowed: true })
  })
})

describe('the identifier of a server', () => {
  it('is its host name backwards, and no invented domain for an address', () => {
    expect(profileIdentifier(new URL('https://localhost:8443'))).toBe('localhost.bramley.enrollment')
    const hash = createHash('sha256').update('192.0.2.7').digest('hex').slice(0, 16)
    expect(profileIdentifier(new URL('https://192.0.2.7:8443'))).toBe(`com.bramley.enrollment.${hash}`)
    expect(profileIdentifier(new URL('https://[2001:db8::1]'))).toMatch(/^com\.bramley\.enrollment\.[0-9a-f]{16}$/)
  })
})

describe('the step of an attempt', () => {
  it('only goes forward', async () => {
    const { token } = await makeLink(house)
    const { attemptId } = await deliver(house, token)
    const steps: unknown[] = []
    for (const step of ['identity_issued', 'enrolled', 'authenticated', 'identity_issued'] as const) {
      await house.deps.work({ kind: 'system' }, (work) => markStep(work, attemptId, step))
      steps.push((await findAttempt(house.deps.db.read, attemptId))?.step)
    }
    expect(steps).toEqual(['identity_issued', 'enrolled', 'enrolled', 'enrolled'])
  })
})
