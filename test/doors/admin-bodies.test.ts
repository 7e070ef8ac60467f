import type { FastifyInstance } from 'fastify'
import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deps } from '../../src/base/deps.ts'
import { registerAccess } from '../../src/features/access/index.ts'
import { adminApp, ask, keyWith } from '../support/admin-app.ts'
import { testDeps } from '../support/deps.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'
import { probes } from '../support/probes.ts'

let database: FreshDatabase
let deps: Deps
let app: FastifyInstance
let token: string

beforeAll(async () => {
  database = await freshDatabase()
  deps = testDeps(database.url)
  app = await adminApp(deps, [registerAccess, probes])
  token = (await keyWith(deps, 'admin')).token
})

afterAll(async () => {
  await app.close()
  await deps.db.close()
  await database.drop()
})

const json = { 'content-type': 'application/json' }

describe('what may be sent', () => {
  const post = (payload: string | object, headers = {}, url = '/probe') => (
    ask(app, token, 'POST', url, payload, headers)
  )

  it('points at every wrong place of a body, escaped as RFC 6901 says', async () => {
    const answer = await post({ name: 'too long', 'a/b~c': 'x', inner: { on: true, off: 1 }, nmae: 1, id: 'dev_1' })
    expect(answer.json()).toMatchObject({ status: 422, code: 'validation_failed' })
    const errors = answer.json<{ errors: { pointer: string; code: string; detail: string }[] }>().errors
    expect(errors.map(({ pointer, code }) => [pointer, code])).toEqual([
      ['/name', 'too_big'], ['/a~1b~0c', 'invalid_type'], ['/inner/off', 'unknown_key'],
      ['/nmae', 'unknown_key'], ['/id', 'unknown_key'],
    ])
    expect(errors[3]?.detail).toBe('is not known here; did you mean name?')
    expect(answer.body).not.toContain('too long')
  })

  it('refuses unknown, repeated and wrong query parameters', async () => {
    const unknown = await ask(app, token, 'GET', '/probe/list?limt=3')
    expect(unknown.json())
      .toMatchObject({ status: 400, code: 'unknown_parameter', detail: 'limt is not known here; did you mean limit?' })
    expect((await ask(app, token, 'GET', '/probe/list?limit=3&limit=4')).json())
      .toMatchObject({ status: 400, code: 'malformed_request' })
    expect((await ask(app, token, 'GET', '/probe/list?limit=10')).json())
      .toMatchObject({ status: 400, errors: [{ pointer: '/limit', code: 'too_big' }] })
    expect((await ask(app, token, 'GET', '/me?x=1')).json()).toMatchObject({ status: 400, code: 'unknown_parameter' })
  })

  it.each([
    ['cut short', '{"name":', 'malformed_json'],
    ['not UTF-8', Buffer.from('7b226e616d65223a22ff227d', 'hex'), 'malformed_json'],
    ['reaching for the prototype', '{"name":"x","__proto__":{"a":1}}', 'malformed_json'],
  ])('refuses JSON that is %s', async (_what, payload, code) => {
    expect((await ask(app, token, 'POST', '/probe', payload, json)).json()).toMatchObject({ status: 400, code })
  })

  it('takes an empty body as an empty object, with and without a JSON content type', async () => {
    for (const url of ['/probe/optional', '/probe/empty']) {
      expect((await ask(app, token, 'POST', url)).statusCode).toBe(200)
      expect((await post('', json, url)).statusCode).toBe(200)
      expect((await post('', { 'content-type': 'application/x-www-form-urlencoded' }, url)).statusCode).toBe(200)
    }
    expect((await ask(app, token, 'POST', '/probe')).json())
      .toMatchObject({ status: 422, errors: [{ pointer: '/name', code: 'invalid_type' }] })
  })

  it('refuses null where an object belongs, and a body where none belongs', async () => {
    expect((await post('null', json)).json())
      .toMatchObject({ status: 422, errors: [{ pointer: '', code: 'invalid_type' }] })
    expect((await post({ name: 'x' }, {}, '/probe/empty')).json())
      .toMatchObject({ status: 422, code: 'validation_failed' })
    expect((await post('{}', json, '/probe/empty')).statusCode).toBe(200)
  })

  it('says what it saw instead of JSON, and how to do it with curl', async () => {
    const form = await post('name=x', { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' })
    expect(form.json()).toMatchObject({ status: 415, code: 'unsupported_content' })
    expect(form.json<{ detail: string }>().detail).toContain('application/x-www-form-urlencoded. With curl use --json')
    expect((await post('x', { 'content-type': 'text/plain' })).statusCode).toBe(415)
    expect((await post('x', { 'content-type': 'rubbish' })).statusCode).toBe(415)
    expect((await post('{"name":"x"}', { ...json, 'content-encoding': 'gzip' })).statusCode).toBe(415)
    expect((await post('{"name":"x"}', { 'content-type': 'application/json; charset=utf-8' })).statusCode).toBe(200)
  })

  it('hands the bytes of a raw route over, whatever they are called', async () => {
    const put = (payload: string | Buffer, headers: Record<string, string>) => (
      ask(app, token, 'PUT', '/probe/1/raw', payload, headers)
    )
    const types = ['json', 'x-apple-aspen-config', 'x-www-form-urlencoded', 'pkcs7-mime; smime-type=signed-data']
    for (const type of types) {
      expect((await put('{"no', { 'content-type': `application/${type}` })).json()).toMatchObject({ saw: '{"no' })
    }
    expect((await put(Buffer.from([0xff, 0x00]), {})).json()).toMatchObject({ saw: '\u00ff\u0000' })
    expect((await ask(app, token, 'PUT', '/probe/1/raw')).json()).toMatchObject({ saw: '' })
  })

  it('limits a body to 1 MiB, or to what its route says', async () => {
    const big = JSON.stringify({ name: 'x'.repeat(1024 * 1024) })
    expect((await post(big, json)).json()).toMatchObject({ status: 413, code: 'too_large' })
    expect((await ask(app, token, 'PUT', '/probe/1/raw', big)).statusCode).toBe(200)
    expect((await ask(app, token, 'PUT', '/probe/1/raw', `${big}${big}`)).statusCode).toBe(413)
  })

  it('takes what curl -T sends over a socket: chunks without length and without type', async () => {
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const send = (method: string, path: string) => new Promise<number | undefined>((resolve, reject) => {
      const out = httpRequest({ port, method, path: `/api/v1${path}`, headers: { authorization: `Bearer ${token}` } })
      out.on('response', (answer) => answer.resume().on('end', () => resolve(answer.statusCode)))
      out.on('error', reject)
      out.write('<plist')
      out.end('/>')
    })
    expect([await send('PUT', '/probe/1/raw'), await send('POST', '/probe')]).toEqual([200, 415])
  })
})
