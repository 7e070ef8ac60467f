import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBramley, type TestServer } from '../support/bramley.ts'

let server: TestServer
beforeAll(async () => {
  server = await startBramley()
})
afterAll(() => server.stop())

const form = (path: string, body: string) => server.http('POST', path, { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body })

describe('the pages', () => {
  it('lead from a typed code to the profile, without a script or a cookie', async () => {
    const { code } = (await server.api('POST', '/enrollment-links', { name: 'Typed' })).json<{ code: string }>()
    const typed = await server.http('GET', '/enroll')
    expect([typed.status, typed.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
    const sent = await form('/enroll', `code=${encodeURIComponent(` ${code.toLowerCase().replace('-', '')} `)}`)
    expect(sent.status).toBe(303)
    const page = await server.http('GET', String(sent.headers['location']))
    expect(page.status).toBe(200)
    expect(page.headers['content-security-policy']).toContain("default-src 'none'")
    expect(page.headers['cache-control']).toBe('no-store')
    expect(page.headers['set-cookie']).toBeUndefined()
    expect(page.body.toString()).not.toMatch(/<script/i)
    expect(page.body.length).toBeLessThan(60 * 1024)
    const action = /action="([^"]+)"/.exec(page.body.toString())?.[1] ?? ''
    const profile = await form(action, '')
    expect([profile.status, profile.headers['content-type'], profile.headers['cache-control']]).toEqual([200, 'application/x-apple-aspen-config', 'no-store'])
  })

  it('do not use a link up when somebody only looks: page, HEAD', async () => {
    const link = (await server.api('POST', '/enrollment-links', { name: 'Once', max_uses: 1 })).json<{ id: string; url: string }>()
    const path = new URL(link.url).pathname
    for (const [method, to] of [['GET', path], ['HEAD', path], ['HEAD', `${path}/profile`]] as const) await server.http(method, to)
    expect((await server.api('GET', `/enrollment-links/${link.id}`)).json()).toMatchObject({ uses: 0, state: 'active' })
    expect((await server.http('GET', `${path}/profile`)).status).toBe(200)
    const used = await server.http('GET', `${path}/profile`)
    expect([used.status, used.headers['content-type']]).toEqual([404, 'text/html; charset=utf-8'])
    expect((await server.api('GET', `/enrollment-links/${link.id}`)).json()).toMatchObject({ uses: 1, state: 'used_up' })
  })

  it('send nobody elsewhere, whatever was typed', async () => {
    for (const code of ['https://evil.example', '//evil.example', '/\\evil.example', '', '<script>']) {
      const location = String((await form('/enroll', `code=${encodeURIComponent(code)}`)).headers['location'])
      expect(new URL(location, server.url).origin).toBe(server.url)
      expect(location).toMatch(/^\/(enroll|e\/[^/]+)$/)
    }
  })

  it('explain every problem at its type URL, and nothing else', async () => {
    expect((await server.http('GET', '/docs/errors/push-topic-mismatch')).body.toString()).toContain('push_topic_mismatch')
    expect((await server.http('GET', '/docs/errors/constructor')).status).toBe(404)
    expect((await server.http('GET', '/docs/errors/%3Cscript%3E')).body.toString()).not.toContain('<script>')
  })
})
