import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'
import { runBramley, startServer } from '../support/process.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.drop())

const probe = (port: string | number, env: Record<string, string> = {}, host = '127.0.0.1') =>
  runBramley(['healthcheck'], { databaseUrl: database.url, env: { BRAMLEY_LISTEN: `${host}:${port}`, ...env } })

describe('bramley healthcheck', () => {
  it('says that a server can work, whoever made its certificate, and that there is none any more', async () => {
    const server = await startServer({ databaseUrl: database.url })
    const { port } = new URL(server.url)
    for (const host of ['127.0.0.1', '', '0.0.0.0']) {
      const { code, stdout, stderr } = await probe(port, {}, host)
      expect([code, JSON.parse(stdout), stderr]).toEqual([0, expect.objectContaining({ status: 'ready' }), ''])
    }
    server.kill('SIGTERM')
    await server.exited
    expect(await probe(port)).toEqual({ code: 1, stdout: '', stderr: `bramley: connect ECONNREFUSED 127.0.0.1:${port}` })
  })

  it('asks by plain HTTP where a proxy ends TLS, and says no when the server does', async () => {
    const asked: (string | undefined)[] = []
    const busy = createServer((request, response) => {
      asked.push(request.url)
      response.writeHead(503).end('{"status":"not_ready"}')
    }).listen(0, '127.0.0.1')
    await new Promise((resolve) => busy.once('listening', resolve))
    const { code, stdout } = await probe((busy.address() as AddressInfo).port, { BRAMLEY_TLS: 'off', BRAMLEY_HTTP_LISTEN: '' })
    busy.close()
    expect([code, stdout, asked]).toEqual([1, '{"status":"not_ready"}', ['/readyz']])
  })
})
