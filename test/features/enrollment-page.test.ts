import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Problem } from '../../src/base/problem.ts'
import {
  createLink,
  enrollmentPage,
  problemPage,
  revokeLink,
  type LinkInput,
  type Page,
} from '../../src/features/enrollment-profiles/index.ts'
import { renderPage } from '../../src/features/enrollment-profiles/page.ts'
import { consentText, rightsInWords } from '../../src/features/enrollment-profiles/rights-in-words.ts'
import { openSecrets, showCode } from '../../src/features/enrollment-profiles/secrets.ts'
import { freshAddress, openHouse, stored, type House } from './scep-device.ts'

const push = { defaultTopic: () => Promise.resolve({ topic: 'com.apple.mgmt.External.1' }) }
const noPush = { defaultTopic: () => Promise.resolve(undefined) }
const system = { kind: 'system' } as const
let house: House

beforeAll(async () => {
  house = await openHouse({ settings: { BRAMLEY_ORGANIZATION: '<b>Example & "Co"</b>' } })
})
afterAll(() => house.close())

async function makeLink(input: Partial<LinkInput> = {}) {
  const link = await house.deps.work(system, (work) => createLink(work, house.deps, { name: 'Test', ...input }))
  return { link, ...openSecrets(house.deps.vault, link.id, link.sealedSecrets) }
}

const open = (secret: string, address = freshAddress(), topics: typeof push | typeof noPush = push) =>
  enrollmentPage(house.deps, topics, secret, address)

/** Every element opened is closed, in order; enough of a check for a document without scripts. */
function expectWellFormed({ html }: Page): void {
  const opened: string[] = []
  for (const [, slash, name = ''] of html.matchAll(/<(\/?)([a-z0-9]+)[^>]*>/g)) {
    if (['meta'].includes(name)) continue
    if (slash === '') opened.push(name)
    else expect(opened.pop()).toBe(name)
  }
  expect(opened).toEqual([])
}

describe('the page behind a link', () => {
  it('is small, well-formed, without scripts, and looking uses nothing up', async () => {
    const { token } = await makeLink({ maxUses: 1 })
    const before = await stored(house.database)
    const page = await open(token)
    await open(token)
    expect(page.status).toBe(200)
    expect(Buffer.byteLength(page.html)).toBeLessThan(60_000)
    expect(page.html).not.toMatch(/<script|javascript:|\son\w+=/i)
    expectWellFormed(page)
    expect(await stored(house.database)).toBe(before)
  })

  it('allows its own style sheet by hash, a form to us, and nothing else', async () => {
    const page = await open((await makeLink()).token)
    const style = /<style>([^]*?)<\/style>/.exec(page.html)?.[1] ?? ''
    const hash = createHash('sha256').update(style).digest('base64')
    expect(page.csp).toBe(
      `default-src 'none'; style-src 'sha256-${hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
    )
    expect(style).toContain('prefers-color-scheme: dark')
  })

  it('posts to the profile with what the person came with: a typed code never becomes the token', async () => {
    const { token, code } = await makeLink()
    expect((await open(token)).html).toContain(`<form method="post" action="/e/${token}/profile">`)
    const byCode = await open(showCode(code))
    expect(byCode.html).toContain(`<form method="post" action="/e/${showCode(code)}/profile">`)
    expect(byCode.html).not.toContain(token)
  })

  it('escapes what it shows', async () => {
    const { link, token } = await makeLink()
    const page = await open(token)
    expect(page.html).toContain('&#60;b&#62;Example &#38; &#34;Co&#34;&#60;/b&#62;')
    expect(page.html).not.toContain('<b>')
    expect(renderPage('Example', link, '"><script>alert(1)</script>').html).not.toContain('<script>')
  })

  it('says only what the rights of this link allow', async () => {
    const few = await open((await makeLink({ accessRights: 1 })).token)
    expect(few.html).toContain('Installed profiles and certificates')
    expect(few.html).not.toMatch(/What .* can do|Lock the device|installed apps/)
    const personal = await open((await makeLink({ ownership: 'personal' })).token)
    expect(personal.html).toMatch(/can never see or do[^]*Erase this device[^]*<form/)
    expect(personal.html).not.toContain('<li>Erase the device</li>')
    expect((await open((await makeLink()).token)).html).toContain('<li>Erase the device</li>')
  })
})

describe('the page that says no', () => {
  it('is the same for every code that does not open, and tells holders of a token why', async () => {
    const { link, code, token } = await makeLink()
    await house.deps.work(system, (work) => revokeLink(work, link))
    const [unknown, revoked, known] = [await open('ZZZZ-ZZZZ'), await open(code), await open(token)]
    expect([unknown.status, known.status]).toEqual([404, 404])
    expect(revoked).toEqual(unknown)
    expect(unknown.html).not.toContain('revoked')
    expect(known.html).toContain('This enrollment link has been revoked.')
    expectWellFormed(known)
  })

  it('gives no profile before the server is ready', async () => {
    const page = await open((await makeLink()).token, freshAddress(), noPush)
    expect(page.status).toBe(503)
    expect(page.html).toContain('Not ready yet')
    expect(page.html).not.toContain('<form')
  })

  it('asks to wait after ten wrong codes, and says how long', async () => {
    const address = freshAddress()
    for (let i = 0; i < 10; i++) expect((await open('ZZZZ-ZZZZ', address)).status).toBe(404)
    const page = await open((await makeLink()).code, address)
    expect(page.status).toBe(429)
    expect(page.retryAfterSeconds).toBeGreaterThan(0)
    expect(page.retryAfterSeconds).toBeLessThanOrEqual(600)
  })

  it('never shows the details of a failure inside', () => {
    const page = problemPage('Example', new Problem('internal_error', 'password=hunter2'))
    expect([page.status, page.html.includes('hunter2')]).toEqual([500, false])
  })

  it('lets what is no refusal go on', async () => {
    const broken = { defaultTopic: () => Promise.reject(new Error('the database is away')) }
    const { token } = await makeLink()
    await expect(enrollmentPage(house.deps, broken, token, freshAddress())).rejects.toThrow('the database is away')
  })
})

describe('the rights in words', () => {
  it('say something about each of the thirteen rights, and nothing that was not granted', () => {
    const all = rightsInWords(8191)
    expect([...all.canSee, ...all.canDo]).toHaveLength(13)
    for (let bit = 1; bit <= 4096; bit *= 2) {
      const { canSee, canDo } = rightsInWords(bit)
      expect([...canSee, ...canDo]).toHaveLength(1)
    }
  })

  it('are the same in the consent text', () => {
    const { canSee, canDo, never } = rightsInWords(8183)
    const text = consentText('Example', 8183)
    for (const line of [...canSee, ...canDo, ...never]) expect(text).toContain(`• ${line}`)
    expect(text).not.toContain('• Erase the device')
  })
})
