import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBramley, type TestServer } from '../support/bramley.ts'

const COPY = fileURLToPath(new URL('../../docs/openapi.json', import.meta.url))

let server: TestServer
beforeAll(async () => {
  server = await startBramley({ settings: { BRAMLEY_PUBLIC_URL: 'https://mdm.example.com' } })
})
afterAll(() => server.stop())

describe('docs/openapi.json', () => {
  it('is the document that the server gives (BRAMLEY_WRITE_OPENAPI=1 writes it anew)', async () => {
    const answer = await server.http('GET', '/api/v1/openapi.json')
    expect(answer.status).toBe(200)
    const text = `${JSON.stringify(answer.json(), null, 2)}\n`
    if (process.env['BRAMLEY_WRITE_OPENAPI'] === '1') writeFileSync(COPY, text)
    expect(answer.json<{ openapi: string }>().openapi).toBe('3.1.0')
    expect(text).toBe(readFileSync(COPY, 'utf8'))
  })

  it('names only schemas that it holds', () => {
    const text = readFileSync(COPY, 'utf8')
    const document = JSON.parse(text) as { components: { schemas: Record<string, unknown> } }
    const named = [...text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name = '']) => name)
    expect(named.filter((name) => !(name in document.components.schemas))).toEqual([])
  })
})
