import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  deliverProfile,
  enrollmentPage,
  registerEnrollmentAttempts,
  registerEnrollmentLinks,
} from '../../src/features/enrollment-profiles/index.ts'
import { adminApp, ask, keyWith } from '../support/admin-app.ts'
import { freshAddress, openHouse, stored, type House } from './scep-device.ts'

let house: House
let app: FastifyInstance
let reader: string
let writer: string
let topic: { topic: string } | undefined = { topic: 'com.apple.mgmt.External.1' }
const push = { defaultTopic: () => Promise.resolve(topic) }

beforeAll(async () => {
  house = await openHouse({ settings: { BRAMLEY_PUBLIC_URL: 'https://mdm.example.com' } })
  app = await adminApp(house.deps, [
    (routes, deps) => registerEnrollmentLinks(routes, deps, { push }),
    registerEnrollmentAttempts,
  ])
  reader = (await keyWith(house.deps, 'enrollment:read')).token
  writer = (await keyWith(house.deps, 'enrollment:read', 'enrollment:write')).token
})
afterAll(async () => {
  await app.close()
  await house.close()
})

const post = (url: string, payload?: object, headers = {}) => ask(app, writer, 'POST', url, payload ?? {}, headers)
const get = (url: string) => ask(app, reader, 'GET', url)
const create = async (payload: object) => (await post('/enrollment-links', payload)).json<Record<string, unknown>>()

describe('POST /enrollment-links', () => {
  it('makes a link with defaults, of the documented shape', async () => {
    const answer = await post('/enrollment-links', { name: 'Sales iPhone' })
    expect(answer.statusCode).toBe(201)
    const link = answer.json<Record<string, unknown>>()
    expect(link).toEqual({
      id: expect.stringMatching(/^lnk_[0-9A-Z]{26}$/),
      slug: 'sales-iphone',
      name: 'Sales iPhone',
      state: 'active',
      code: expect.stringMatching(/^[0-9A-Z]{4}-[0-9A-Z]{4}$/),
      code_expires_at: expect.any(String),
      url: expect.stringMatching(/^https:\/\/mdm\.example\.com\/e\/[\w-]{22}$/),
      ownership: 'company',
      sign_in: 'none',
      max_uses: null,
      uses: 0,
      expires_at: null,
      access_rights: 8191,
      removable_by_user: true,
      device_key: null,
      separate_checkin: false,
      ready: true,
      not_ready_reason: null,
      created_at: expect.any(String),
    })
    expect((await get(`/enrollment-links/${String(link['id'])}`)).json()).toEqual(link)
    expect((await get('/enrollment-links/sales-iphone')).json()).toEqual(link)
  })

  it('takes every choice', async () => {
    const link = await create({
      name: 'One phone',
      slug: 'one',
      max_uses: 1,
      expires_in: '72h',
      access_rights: 3,
      removable_by_user: false,
      device: '00008140-001A2B3C4D5E801C',
      ownership: 'personal',
    })
    expect(link).toMatchObject({
      slug: 'one',
      max_uses: 1,
      access_rights: 3,
      removable_by_user: false,
      ownership: 'personal',
      device_key: '00008140-001A2B3C4D5E801C',
    })
    const hours = (Date.parse(String(link['expires_at'])) - Date.parse(String(link['created_at']))) / 3_600_000
    expect(hours).toBe(72)
  })

  it.each([
    ['90s', 90],
    ['15m', 900],
    ['7d', 604_800],
  ])('reads the duration %s', async (duration, seconds) => {
    const link = await create({ name: 'x', expires_in: duration })
    expect(Date.parse(String(link['expires_at'])) - Date.parse(String(link['created_at']))).toBe(seconds * 1_000)
  })

  it('gives a personal link every right but erase, and never that one', async () => {
    expect(await create({ name: 'p', ownership: 'personal' })).toMatchObject({ access_rights: 8183 })
    const refused = await post('/enrollment-links', { name: 'p', ownership: 'personal', access_rights: 8191 })
    expect(refused.statusCode).toBe(422)
    expect(refused.json()).toMatchObject({
      code: 'validation_failed',
      errors: [{ pointer: '/access_rights', code: 'personal_device' }],
    })
  })

  it.each([
    ['/access_rights', { access_rights: 0 }],
    ['/access_rights', { access_rights: 2 }],
    ['/access_rights', { access_rights: 128 }],
    ['/access_rights', { access_rights: 8192 }],
    ['/max_uses', { max_uses: 0 }],
    ['/expires_in', { expires_in: '0d' }],
    ['/expires_in', { expires_in: '3651d' }],
    ['/expires_in', { expires_in: '1h', expires_at: '2099-01-01T00:00:00Z' }],
    ['/expires_at', { expires_at: '2020-01-01T00:00:00Z' }],
    ['/slug', { slug: 'Not a slug' }],
    ['/device', { device: "x'; drop table" }],
    ['/name', { name: '' }],
    ['/name', { name: 'a\u0007b' }],
    ['/separate_checkin', { separate_checkin: true }],
    ['/separate_checkin', { separate_checkin: 'https://checkin.example.com' }],
    ['/state', { state: 'active' }],
    ['/token_hash', { token_hash: 'x' }],
  ])('refuses %s in %j, and stores nothing', async (pointer, input) => {
    const before = await stored(house.database)
    const answer = await post('/enrollment-links', { name: 'x', ...input })
    expect(answer.statusCode).toBe(422)
    expect(answer.json<{ errors: { pointer: string }[] }>().errors.map((one) => one.pointer)).toContain(pointer)
    expect(await stored(house.database)).toBe(before)
  })

  it('says what to do when a link asks for a check-in address and none is configured', async () => {
    const { errors } = (await post('/enrollment-links', { name: 'x', separate_checkin: true })).json<{ errors: object[] }>()
    expect(errors).toEqual([{ pointer: '/separate_checkin', code: 'no_checkin_url', detail: expect.stringContaining('set BRAMLEY_CHECKIN_URL') }])
  })

  it('refuses a slug in use, but finds another when the name made it', async () => {
    await create({ name: 'Twice', slug: 'twice' })
    const refused = await post('/enrollment-links', { name: 'Other', slug: 'twice' })
    expect([refused.statusCode, refused.json<{ code: string }>().code]).toEqual([409, 'name_taken'])
    expect(await create({ name: 'Twice' })).toMatchObject({ slug: expect.stringMatching(/^twice-[0-9a-z]{8}$/) })
    expect(await create({ name: '部署' })).toMatchObject({ slug: 'link' })
  })

  it('repeated with its Idempotency-Key makes one link, with the same secrets', async () => {
    const once = await post('/enrollment-links', { name: 'Retry' }, { 'idempotency-key': 'k1' })
    const again = await post('/enrollment-links', { name: 'Retry' }, { 'idempotency-key': 'k1' })
    expect(again.body).toBe(once.body)
    expect(await house.database.query(`select 1 from enrollment_links where name = 'Retry'`)).toHaveLength(1)
  })
})

describe('a link', () => {
  it('says that it is not ready while there is no push certificate', async () => {
    const { id } = await create({ name: 'Early' })
    topic = undefined
    expect((await get(`/enrollment-links/${String(id)}`)).json()).toMatchObject({
      ready: false,
      not_ready_reason: 'no_push_certificate',
    })
    topic = { topic: 'com.apple.mgmt.External.1' }
  })

  it('gives no profile where its check-in address is not configured (any more), and counts no use', async () => {
    const { id, url } = await create({ name: 'Moved' })
    await house.database.query('update enrollment_links set separate_checkin = true where id = $1', [id])
    expect((await get(`/enrollment-links/${String(id)}`)).json()).toMatchObject({ ready: false, not_ready_reason: 'no_checkin_url' })
    const token = String(url).split('/').at(-1) ?? ''
    const before = await stored(house.database)
    await expect(deliverProfile(house.deps, house.authorities, push as never, token, freshAddress(), [])).rejects.toMatchObject({ code: 'checkin_unavailable' })
    const shown = await enrollmentPage(house.deps, push as never, token, freshAddress())
    expect([shown.status, shown.html]).toEqual([503, expect.stringContaining('Not ready yet')])
    expect(await stored(house.database)).toBe(before)
  })

  it('is revoked once, and shows its state', async () => {
    const { id } = await create({ name: 'Revoke me' })
    const answers = [
      await post(`/enrollment-links/${String(id)}/revoke`),
      await post('/enrollment-links/revoke-me/revoke'),
    ]
    expect(answers.map((one) => [one.statusCode, one.json<{ state: string }>().state])).toEqual([
      [200, 'revoked'],
      [200, 'revoked'],
    ])
    expect(
      await house.database.query(`select 1 from events where type = 'enrollment_link.revoked' and data->>'link' = $1`, [
        id,
      ]),
    ).toHaveLength(1)
  })

  it('shows no code any more when the time of the code is over, and its state when its own is', async () => {
    const { id } = await create({ name: 'Old' })
    await house.database.query('update enrollment_links set code_expires_at = now() where id = $1', [id])
    expect((await get(`/enrollment-links/${String(id)}`)).json()).toMatchObject({ state: 'active', code: null })
    await house.database.query('update enrollment_links set expires_at = now() where id = $1', [id])
    expect((await get(`/enrollment-links/${String(id)}`)).json()).toMatchObject({ state: 'expired' })
    await house.database.query('update enrollment_links set expires_at = null, max_uses = 1, uses = 1 where id = $1', [
      id,
    ])
    expect((await get(`/enrollment-links/${String(id)}`)).json()).toMatchObject({ state: 'used_up' })
  })

  it('needs its scope', async () => {
    expect((await ask(app, reader, 'POST', '/enrollment-links', { name: 'x' })).statusCode).toBe(403)
    expect(
      (await ask(app, (await keyWith(house.deps, 'devices:read')).token, 'GET', '/enrollment-links')).statusCode,
    ).toBe(403)
  })

  it.each([
    '/enrollment-links/lnk_NONE',
    '/enrollment-links/%00',
    '/enrollments/att_NONE',
    '/enrollments/..%2f',
    '/enrollments?link=none',
  ])('that is not there: %s', async (url) => {
    expect((await get(url)).statusCode).toBe(404)
  })
})

describe('lists', () => {
  type Listed = { data: { id: string }[]; next_cursor: string | null; has_more: boolean }
  const walk = async (url: string): Promise<string[]> => {
    const ids: string[] = []
    for (let cursor = ''; ;) {
      const page = (await get(`${url}${url.includes('?') ? '&' : '?'}limit=2${cursor}`)).json<Listed>()
      ids.push(...page.data.map((one) => one.id))
      if (!page.has_more) return ids
      cursor = `&cursor=${encodeURIComponent(String(page.next_cursor))}`
    }
  }

  it('of links are complete, newest first, without repetition', async () => {
    for (const name of ['l1', 'l2', 'l3']) await create({ name })
    const rows = await house.database.query<{ id: string }>('select id from enrollment_links order by id desc')
    expect(await walk('/enrollment-links')).toEqual(rows.map((row) => row.id))
  })

  it('of attempts tell the step, of all links or of one', async () => {
    const link = await create({ name: 'Attempts' })
    const token = String(link['url']).split('/').at(-1) ?? ''
    const deliver = () => deliverProfile(house.deps, house.authorities, push as never, token, freshAddress(), [])
    const made = [await deliver(), await deliver(), await deliver()].map((one) => one.attemptId).toReversed()
    expect(await walk('/enrollments?link=attempts')).toEqual(made)
    expect(await walk(`/enrollments?link=${String(link['id'])}`)).toEqual(made)
    expect(await walk('/enrollments')).toEqual(made)
    expect((await get(`/enrollments/${String(made[0])}`)).json()).toEqual({
      id: made[0],
      link: link['id'],
      step: 'profile_delivered',
      access_rights: 8191,
      push_topic: 'com.apple.mgmt.External.1',
      device_key: null,
      checkin_url: null,
      remote_address: expect.stringMatching(/^198\.51\./),
      created_at: expect.any(String),
      updated_at: expect.any(String),
    })
  })

  it('do not take the cursor of another list', async () => {
    const cursor = encodeURIComponent(String((await get('/enrollment-links?limit=1')).json<Listed>().next_cursor))
    expect((await get(`/enrollments?cursor=${cursor}`)).json()).toMatchObject({ code: 'bad_cursor' })
    const attempts = encodeURIComponent(String((await get('/enrollments?limit=1')).json<Listed>().next_cursor))
    expect((await get(`/enrollments?link=attempts&cursor=${attempts}`)).json()).toMatchObject({ code: 'bad_cursor' })
  })
})
