import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Problem } from '../../src/base/problem.ts'
import { revokeLink } from '../../src/features/enrollment-profiles/index.ts'
import { showCode } from '../../src/features/enrollment-profiles/secrets.ts'
import { contentOf, deliver, makeLink, noPush, TOPIC } from './link-visitor.ts'
import { ask, freshAddress, makeKey, openHouse, stored, type House } from './scep-device.ts'

const system = { kind: 'system' } as const
let house: House
const key = await makeKey()

beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

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

describe('the uses of a link', () => {
  it('are exactly as many as allowed, however many come at the same moment', async () => {
    const { link, token } = await makeLink(house, { maxUses: 5 })
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => deliver(house, token)))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(5)
    const codes = outcomes.flatMap((one) =>
      one.status === 'rejected' && one.reason instanceof Problem ? [one.reason.code] : [],
    )
    expect(codes).toEqual(Array(15).fill('link_gone'))
    expect(await usesOf(link)).toBe(5)
    const counted = (table: string) => house.database.query(`select 1 from ${table}`)
    const before = [await counted('enrollment_attempts'), await counted('scep_challenges')]
    await expectRefused(
      () => deliver(house, token),
      'link_gone',
      'This enrollment link has been used as often as it may be.',
    )
    expect([await counted('enrollment_attempts'), await counted('scep_challenges')]).toEqual(before)
  })

  it('are not counted while there is no push certificate', async () => {
    const { link, token } = await makeLink(house, { maxUses: 1 })
    await expectRefused(() => deliver(house, token, { push: noPush }), 'push_unavailable')
    expect(await usesOf(link)).toBe(0)
    await deliver(house, token)
    expect(await usesOf(link)).toBe(1)
  })

  it('are not counted for a profile that could not be made', async () => {
    const { link, token } = await makeLink(house, { maxUses: 1 })
    const wrongTopic = { defaultTopic: () => Promise.resolve({ topic: 'com.example.app' }) }
    const before = await stored(house.database)
    await expect(deliver(house, token, { push: wrongTopic })).rejects.toMatchObject({ name: 'WireError' })
    expect(await stored(house.database)).toBe(before)
    expect(await usesOf(link)).toBe(0)
  })

  it('end when the link is revoked, and so does a profile that was downloaded but not installed', async () => {
    const { link, token } = await makeLink(house)
    const { challenge } = contentOf(await deliver(house, token)).scep
    await house.deps.work(system, (work) => revokeLink(work, link))
    await expectRefused(() => deliver(house, token), 'link_gone', 'This enrollment link has been revoked.')
    expect(await ask(house, { key, challenge })).toMatchObject({ status: 'failure', failInfo: '2' })
  })

  it('end also when it is revoked or expires between the look-up and the delivery', async () => {
    for (const change of ['revoked_at = now()', `expires_at = now() - interval '1 minute'`]) {
      const { link, token } = await makeLink(house)
      const meanwhile = {
        defaultTopic: async () => {
          await house.database.query(`update enrollment_links set ${change} where id = $1`, [link.id])
          return { topic: TOPIC }
        },
      }
      await expect(deliver(house, token, { push: meanwhile })).rejects.toMatchObject({
        code: 'link_gone',
        detail: expect.stringMatching(/revoked|expired/),
      })
      expect(await usesOf(link)).toBe(0)
    }
  })

  it('end with the time of the link', async () => {
    const { link, token } = await makeLink(house, { expiresAt: new Date(Date.now() + 60_000) })
    await deliver(house, token)
    await house.database.query('update enrollment_links set expires_at = now() where id = $1', [link.id])
    await expectRefused(() => deliver(house, token), 'link_gone', 'This enrollment link has expired.')
  })
})

describe('a typed code', () => {
  it('is read with or without dash, in either case, with O for 0 and I or L for 1', async () => {
    for (;;) {
      const { link, code } = await makeLink(house)
      expect(showCode(code)).toMatch(/^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/)
      const typed = [
        code,
        showCode(code),
        code.toLowerCase(),
        code.replaceAll('0', 'o').replaceAll('1', 'l'),
        code.replaceAll('1', 'I'),
      ]
      for (const text of typed) await deliver(house, text)
      expect(await usesOf(link)).toBe(5)
      if (/[01]/.test(code)) return
    }
  })

  it('lives 72 hours at most, and never longer than its link', async () => {
    const { link, code, token } = await makeLink(house, { expiresAt: new Date(Date.now() + 3_600_000) })
    const long = await makeLink(house)
    expect(link.codeExpiresAt).toEqual(link.expiresAt)
    expect(long.link.codeExpiresAt.getTime() - long.link.createdAt.getTime()).toBe(72 * 3_600_000)
    await house.database.query('update enrollment_links set code_expires_at = now() where id = $1', [link.id])
    await expectRefused(() => deliver(house, code), 'link_gone')
    await deliver(house, token)
  })

  it('that is unknown, used up, expired or revoked gets one and the same refusal', async () => {
    const [spent, expired, revoked] = [
      await makeLink(house, { maxUses: 1 }),
      await makeLink(house),
      await makeLink(house),
    ]
    await deliver(house, spent.token)
    await house.database.query('update enrollment_links set expires_at = now() where id = $1', [expired.link.id])
    await house.deps.work(system, (work) => revokeLink(work, revoked.link))
    const address = freshAddress()
    for (const code of [
      'ZZZZ-ZZZZ',
      spent.code,
      expired.code,
      revoked.code,
      'neither',
      '../../x',
      'A'.repeat(22),
      '\u0000',
    ]) {
      await expectRefused(() => deliver(house, code, { address }), 'link_gone')
    }
  })

  it('may be guessed wrong ten times from one address; right ones and true tokens do not count', async () => {
    const { code, token } = await makeLink(house)
    const address = freshAddress()
    for (let i = 0; i < 10; i++) {
      await deliver(house, code, { address })
      await expect(deliver(house, 'ZZZZ-ZZZZ', { address })).rejects.toMatchObject({ code: 'link_gone' })
    }
    await expect(deliver(house, code, { address })).rejects.toMatchObject({ code: 'rate_limited' })
    await expect(deliver(house, 'B'.repeat(22), { address })).rejects.toMatchObject({ code: 'rate_limited' })
    await deliver(house, token, { address })
    await deliver(house, code)
  })

  it('of ten parallel guesses beyond the limit, none learns whether it was right', async () => {
    const { code } = await makeLink(house)
    const address = freshAddress()
    await Promise.allSettled(Array.from({ length: 20 }, () => deliver(house, 'ZZZZ-ZZZZ', { address })))
    await expect(deliver(house, code, { address })).rejects.toMatchObject({ code: 'rate_limited' })
  })

  it('and the token are not in the database', async () => {
    const { link, code, token } = await makeLink(house)
    const [row] = await house.database.query(
      'select enrollment_links::text as text, sealed_secrets from enrollment_links where id = $1',
      [link.id],
    )
    const hex = (text: string) => Buffer.from(text).toString('hex')
    for (const secret of [code, token, hex(code), hex(token)]) expect(row?.['text']).not.toContain(secret)
  })
})
