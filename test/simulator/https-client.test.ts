import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createHttpsClient } from '../../src/simulator/https-client.ts'

let server: Server
let port: number
const heard: string[] = []
beforeAll(async () => {
  server = createServer((request, response) => {
    heard.push(`${request.method} ${request.headers.host} ${request.headers['user-agent']}`)
    request.resume().on('end', () => response.end('here'))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = (server.address() as AddressInfo).port
})
afterAll(() => new Promise((resolve) => server.close(resolve)))

describe('a simulated device’s way to its server', () => {
  const client = createHttpsClient([])
  afterAll(() => client.close())

  it('may be plain HTTP on this machine, for a server with BRAMLEY_TLS=off', async () => {
    const answer = await client.send({ method: 'PUT', url: `http://127.0.0.1:${port}/mdm`, body: Buffer.from('x') })
    expect([answer.status, answer.body.toString()]).toEqual([200, 'here'])
    expect(heard).toEqual([`PUT 127.0.0.1:${port} MDM/1.0`])
  })

  it.each(['http://mdm.example.com/mdm', 'http://localhost.example.com/mdm', 'http://127.0.0.1.example.com/mdm', 'http://192.0.2.1/mdm'])('is never plain HTTP to %s', async (url) => {
    await expect(client.send({ method: 'PUT', url })).rejects.toThrow('Protocol "http:" not supported')
  })
})
