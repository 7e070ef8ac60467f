import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unchanged } from '../support/attacks.ts'
import { KEY, startBramley, type TestServer } from '../support/bramley.ts'
import { enrolledDevice } from '../support/raw-device.ts'

// What may not be sent to the API. The numbers are those of the threat model; how devices prove themselves plays no part here.
const UDID = '00008120-00000000000A'
let server: TestServer
beforeAll(async () => {
  server = await startBramley()
  await enrolledDevice(server, UDID)
})
afterAll(() => server.stop())

const authorization = `Bearer ${KEY}`
const ask = (method: string, path: string, body: string, contentType = 'application/json') => (
  server.http(method, `/api/v1${path}`, { headers: { authorization, 'content-type': contentType }, body }))
const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`

/** Where anything may stand, and how it looks there: free parameters of a command, as JSON and as raw bytes, and a name. */
const PLACES: [method: string, path: string, body: (value: string) => string][] = [
  ['POST', `/devices/${UDID}/commands`, (value) => `{"type":"Settings","force":true,"params":{"Settings":[{"Item":"x","Value":${value}}]}}`],
  ['PUT', `/devices/${UDID}/commands`, (value) => `{"RequestType":"Settings","force":true,"Settings":[{"Item":"x","Value":${value}}]}`],
  ['POST', '/enrollment-links', (value) => `{"name":${value}}`],
  ['POST', '/push-certificates', (value) => `{"certificate":${value}}`],
]

describe.each(PLACES)('57: %s %s refuses', (method, path, body) => {
  it.each([
    ['a key that reaches the prototype', '{"__proto__":{"polluted":true}}', /__proto__/],
    ['a key twice', '{"a":1,"a":2}', /twice/],
    ['a number that no number holds', '1e999', /beyond all bounds/],
    ['100 001 items', `[${'1,'.repeat(1e5)}1]`, /100 000 values/],
    ['10 000 arrays in each other', nested(10_000), /deeper than 64/],
    ['200 000 arrays in each other', nested(200_000), /deeper than 64/],
    ['U+0000', '"a\\u0000b"', /U\+0000/],
    ['half a surrogate pair', '"\\ud800"', /surrogate/],
    ['what is cut short', '"', /JSON/],
  ])('%s', async (_title, value, detail) => {
    const answer = await unchanged(server, () => ask(method, path, body(value)))
    expect(answer.json()).toMatchObject({ status: 400, code: 'malformed_json', detail: expect.stringMatching(detail) })
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  it('bytes that are no UTF-8', async () => {
    const bytes = Buffer.from(body('"\u00e9"'), 'latin1')
    const answer = await unchanged(server, () => server.http(method, `/api/v1${path}`, { headers: { authorization, 'content-type': 'application/json' }, body: bytes }))
    expect(answer.json()).toMatchObject({ status: 400, code: 'malformed_json' })
  })
})

it('57: a whole number that would lose its last figures is not queued', async () => {
  const [, , body] = PLACES[0]!
  const answer = await unchanged(server, () => ask('POST', `/devices/${UDID}/commands`, body('90071992547409931234567890')))
  expect(answer.json()).toMatchObject({ status: 422, code: 'validation_failed', detail: expect.stringContaining('/Settings/0/Value') })
})

describe('56: a content type does not get around the schema', () => {
  const wrong = '{"name":"x","nonsense":1}'
  it.each(['application/json\t', ' application/json', 'application/json;', 'application/json; charset=utf-8', 'APPLICATION/JSON'])('%j is JSON, and checked', async (type) => {
    const answer = await unchanged(server, () => ask('POST', '/enrollment-links', wrong, type))
    expect(answer.json()).toMatchObject({ status: 422, errors: [{ pointer: '/nonsense', code: 'unknown_key' }] })
  })

  it.each(['application/jsonx', 'text/plain', 'application/x-www-form-urlencoded', 'application/json, text/html', 'application/json+x', '*/*', ';'])('%j is refused', async (type) => {
    expect((await unchanged(server, () => ask('POST', '/enrollment-links', wrong, type))).status).toBe(415)
  })
})
