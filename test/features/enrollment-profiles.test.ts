import { execFileSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse as parsePlist } from 'plist'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { verifyAttached } from '../../src/apple/wire/cms.ts'
import { readEnrollmentProfile, type EnrollmentProfile } from '../../src/apple/wire/mobileconfig.ts'
import { Problem } from '../../src/base/problem.ts'
import {
  createLink, deliverProfile, findAttempt, markStep, profileIdentifier, revokeLink, type Delivery, type LinkInput,
} from '../../src/features/enrollment-profiles/index.ts'
import { openSecrets, showCode } from '../../src/features/enrollment-profiles/secrets.ts'
import { ask, certify, freshAddress, makeKey, openHouse, stored, type House } from './scep-device.ts'

const TOPIC = 'com.apple.mgmt.External.11111111-2222-3333-4444-555555555555'
const push = { defaultTopic: () => Promise.resolve({ topic: TOPIC }) }
const noPush = { defaultTopic: () => Promise.resolve(undefined) }
const system = { kind: 'system' } as const
let house: House
let folder: string
const key = await makeKey()

beforeAll(async () => {
  house = await openHouse({ settings: { BRAMLEY_PUBLIC_URL: 'https://mdm.example.com', BRAMLEY_ORGANIZATION: 'Example & Söhne' } })
  folder = mkdtempSync(join(tmpdir(), 'bramley-profiles-'))
})
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await house.close()
})

async function makeLink(input: Partial<LinkInput> = {}) {
  const link = await house.deps.work(system, (work) => createLink(work, house.deps, { name: 'Test', ...input }))
  return { link, ...openSecrets(house.deps.vault, link.id, link.sealedSecrets) }
}

function deliver(secret: string, o: { push?: typeof push | typeof noPush; address?: string; roots?: Buffer[] } = {}): Promise<Delivery> {
  return deliverProfile(house.deps, house.authorities, o.push ?? push, secret, o.address ?? freshAddress(), o.roots ?? [])
}

const contentOf = (delivery: Delivery): EnrollmentProfile => readEnrollmentProfile(verifyAttached(delivery.profile).content)

async function usesOf(link: { id: string }): Promise<unknown> {
  const [row] = await house.database.query('select uses from enrollment_links where id = $1', [link.id])
  return row?.['uses']
}

/** Expects this Problem, and nothing stored. */
async function expectRefused(promise: () => Promise<unknown>, code: string, detail?: string): Promise<void> {
  const before = await stored(house.database)
  await expect(promise()).rejects.toMatchObject({ name: 'Problem', code, detail })
  expect(await stored(house.database)).toBe(before)
}

describe('a delivered profile', () => {
  it('is signed, as OpenSSL verifies against the device CA', async () => {
    const { token } = await makeLink()
    const { profile } = await deliver(token)
    writeFileSync(join(folder, 'ca.pem'), house.authorities.deviceCa.pem)
    writeFileSync(join(folder, 'profile'), profile)
    const verify = (...more: string[]) => execFileSync('openssl', [
      'cms', '-verify', '-inform', 'DER', '-in', join(folder, 'profile'), '-CAfile', join(folder, 'ca.pem'), ...more,
    ], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    expect(verify('-purpose', 'any')).toContain('<key>PayloadType</key>')
  })

  it('brings the device to this server, with an identity of its own', async () => {
    const { link, token } = await makeLink()
    const delivery = await deliver(token)
    const profile = contentOf(delivery)
    expect(profile).toMatchObject({
      identifier: 'com.example.mdm.bramley.enrollment', serverUrl: 'https://mdm.example.com/mdm', topic: TOPIC,
      accessRights: 8191, signMessage: true, checkOutWhenRemoved: true, roots: [],
    })
    expect(profile.scep).toMatchObject({
      url: 'https://mdm.example.com/scep', keySize: 2048, subject: [['O', 'Example & Söhne'], ['CN', delivery.attemptId]],
    })
    expect(await findAttempt(house.deps.db.read, delivery.attemptId)).toMatchObject({
      linkId: link.id, ownership: 'company', step: 'profile_delivered', topic: TOPIC, accessRights: 8191, deviceKey: null,
      profileIdentifier: 'com.example.mdm.bramley.enrollment', enrollmentId: null,
    })
    const events = await house.database.query(`select type, data from events where data->>'link' = $1 order by seq`, [link.id])
    expect(events).toEqual([
      { type: 'enrollment_link.created', data: { link: link.id } },
      { type: 'enrollment_link.used', data: { link: link.id, attempt: delivery.attemptId } },
    ])
  })

  it('names the CA by its SHA-1, the only strong digest that Apple reads there', async () => {
    const { token } = await makeLink()
    const fingerprint = new X509Certificate(house.authorities.deviceCa.pem).fingerprint.replaceAll(':', '').toLowerCase()
    expect(contentOf(await deliver(token)).scep.caFingerprint?.toString('hex')).toBe(fingerprint)
  })

  it('is made for one attempt: challenge and UUIDs are never the same, the identifier always is', async () => {
    const { token } = await makeLink()
    const [one, two] = [await deliver(token), await deliver(token)]
    const uuids = [one, two].flatMap(({ profile }) => verifyAttached(profile).content.toString().match(/[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}/g) ?? [])
    const own = new Set(uuids.filter((uuid) => !TOPIC.includes(uuid)))
    expect(own.size).toBe(6)
    expect(contentOf(one).scep.challenge).not.toBe(contentOf(two).scep.challenge)
    expect(contentOf(one).identifier).toBe(contentOf(two).identifier)
  })

  it('carries a challenge that is good for one certificate, bound to the device the link was made for', async () => {
    const { token } = await makeLink({ deviceKey: '00008140-001A2B3C4D5E801C' })
    const delivery = await deliver(token)
    const { challenge } = contentOf(delivery).scep
    expect((await ask(house, { key, challenge })).status).toBe('success')
    expect((await ask(house, { key, challenge })).status).toBe('failure')
    const rows = await house.database.query('select device_key from certificates where attempt_id = $1', [delivery.attemptId])
    expect(rows).toEqual([{ device_key: '00008140-001A2B3C4D5E801C' }])
  })

  it('trusts the roots it is given and asks for consent in words made from the rights', async () => {
    const { token } = await makeLink({ ownership: 'personal' })
    const root = certify(key, { profile: 'ca' }).der
    const profile = contentOf(await deliver(token, { roots: [root] }))
    expect(profile.roots).toEqual([root])
    expect(profile.consentText).toContain('This device will be managed by Example & Söhne.')
    expect(profile.consentText).toContain('• Lock the device and remove its passcode')
    expect(profile.consentText).toMatch(/never see or do:[^]*• Erase this device/)
  })

  it('can be made unremovable, which supervised devices obey', async () => {
    const { token } = await makeLink({ removableByUser: false })
    const content = verifyAttached((await deliver(token)).profile).content.toString()
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

describe('the uses of a link', () => {
  it('are exactly as many as allowed, however many come at the same moment', async () => {
    const { link, token } = await makeLink({ maxUses: 5 })
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => deliver(token)))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(5)
    const codes = outcomes.flatMap((one) => (one.status === 'rejected' && one.reason instanceof Problem ? [one.reason.code] : []))
    expect(codes).toEqual(Array(15).fill('link_gone'))
    expect(await usesOf(link)).toBe(5)
    const counted = (table: string) => house.database.query(`select 1 from ${table}`)
    const before = [await counted('enrollment_attempts'), await counted('scep_challenges')]
    await expectRefused(() => deliver(token), 'link_gone', 'This enrollment link has been used as often as it may be.')
    expect([await counted('enrollment_attempts'), await counted('scep_challenges')]).toEqual(before)
  })

  it('are not counted while there is no push certificate', async () => {
    const { link, token } = await makeLink({ maxUses: 1 })
    await expectRefused(() => deliver(token, { push: noPush }), 'push_unavailable')
    expect(await usesOf(link)).toBe(0)
    await deliver(token)
    expect(await usesOf(link)).toBe(1)
  })

  it('are not counted for a profile that could not be made', async () => {
    const { link, token } = await makeLink({ maxUses: 1 })
    const wrongTopic = { defaultTopic: () => Promise.resolve({ topic: 'com.example.app' }) }
    const before = await stored(house.database)
    await expect(deliver(token, { push: wrongTopic })).rejects.toMatchObject({ name: 'WireError' })
    expect(await stored(house.database)).toBe(before)
    expect(await usesOf(link)).toBe(0)
  })

  it('end when the link is revoked, and so does a profile that was downloaded but not installed', async () => {
    const { link, token } = await makeLink()
    const { challenge } = contentOf(await deliver(token)).scep
    await house.deps.work(system, (work) => revokeLink(work, link))
    await expectRefused(() => deliver(token), 'link_gone', 'This enrollment link has been revoked.')
    expect(await ask(house, { key, challenge })).toMatchObject({ status: 'failure', failInfo: '2' })
  })

  it('end with the time of the link', async () => {
    const { link, token } = await makeLink({ expiresAt: new Date(Date.now() + 60_000) })
    await deliver(token)
    await house.database.query('update enrollment_links set expires_at = now() where id = $1', [link.id])
    await expectRefused(() => deliver(token), 'link_gone', 'This enrollment link has expired.')
  })
})

describe('a typed code', () => {
  it('is read with or without dash, in either case, with O for 0 and I or L for 1', async () => {
    for (;;) {
      const { link, code } = await makeLink()
      expect(showCode(code)).toMatch(/^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/)
      const typed = [code, showCode(code), code.toLowerCase(), code.replaceAll('0', 'o').replaceAll('1', 'l'), code.replaceAll('1', 'I')]
      for (const text of typed) await deliver(text)
      expect(await usesOf(link)).toBe(5)
      if (/[01]/.test(code)) return
    }
  })

  it('lives 72 hours at most, and never longer than its link', async () => {
    const { link, code, token } = await makeLink({ expiresAt: new Date(Date.now() + 3_600_000) })
    const long = await makeLink()
    expect(link.codeExpiresAt).toEqual(link.expiresAt)
    expect(long.link.codeExpiresAt.getTime() - long.link.createdAt.getTime()).toBe(72 * 3_600_000)
    await house.database.query('update enrollment_links set code_expires_at = now() where id = $1', [link.id])
    await expectRefused(() => deliver(code), 'link_gone')
    await deliver(token)
  })

  it('that is unknown, used up, expired or revoked gets one and the same refusal', async () => {
    const [spent, expired, revoked] = [await makeLink({ maxUses: 1 }), await makeLink(), await makeLink()]
    await deliver(spent.token)
    await house.database.query('update enrollment_links set expires_at = now() where id = $1', [expired.link.id])
    await house.deps.work(system, (work) => revokeLink(work, revoked.link))
    const address = freshAddress()
    for (const code of ['ZZZZ-ZZZZ', spent.code, expired.code, revoked.code, 'neither', '../../x', 'A'.repeat(22), '\u0000']) {
      await expectRefused(() => deliver(code, { address }), 'link_gone')
    }
  })

  it('may be guessed wrong ten times from one address; right ones and true tokens do not count', async () => {
    const { code, token } = await makeLink()
    const address = freshAddress()
    for (let i = 0; i < 10; i++) {
      await deliver(code, { address })
      await expect(deliver('ZZZZ-ZZZZ', { address })).rejects.toMatchObject({ code: 'link_gone' })
    }
    await expect(deliver(code, { address })).rejects.toMatchObject({ code: 'rate_limited' })
    await expect(deliver('B'.repeat(22), { address })).rejects.toMatchObject({ code: 'rate_limited' })
    await deliver(token, { address })
    await deliver(code)
  })

  it('of ten parallel guesses beyond the limit, none learns whether it was right', async () => {
    const { code } = await makeLink()
    const address = freshAddress()
    await Promise.allSettled(Array.from({ length: 20 }, () => deliver('ZZZZ-ZZZZ', { address })))
    await expect(deliver(code, { address })).rejects.toMatchObject({ code: 'rate_limited' })
  })

  it('and the token are not in the database', async () => {
    const { link, code, token } = await makeLink()
    const [row] = await house.database.query('select enrollment_links::text as text, sealed_secrets from enrollment_links where id = $1', [link.id])
    const hex = (text: string) => Buffer.from(text).toString('hex')
    for (const secret of [code, token, hex(code), hex(token)]) expect(row?.['text']).not.toContain(secret)
  })
})

describe('the step of an attempt', () => {
  it('only goes forward', async () => {
    const { token } = await makeLink()
    const { attemptId } = await deliver(token)
    const steps: unknown[] = []
    for (const step of ['identity_issued', 'enrolled', 'authenticated', 'identity_issued'] as const) {
      await house.deps.work(system, (work) => markStep(work, attemptId, step))
      steps.push((await findAttempt(house.deps.db.read, attemptId))?.step)
    }
    expect(steps).toEqual(['identity_issued', 'enrolled', 'enrolled', 'enrolled'])
  })
})
