import { createHmac } from 'node:crypto'
import { Agent as HttpAgent, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import type { Config } from '../../base/config.ts'
import { inWords } from '../../base/in-words.ts'

/** What became of one delivery: the receiver's status, or why there was none. */
export type Delivery = { status: number } | { failed: string }

const TIMEOUT_MS = 10_000
const agents = { 'http:': new HttpAgent({ keepAlive: true }), 'https:': new HttpsAgent({ keepAlive: true }) }

/** Sends one event. Follows no redirect, waits 10 seconds at most, reads nothing of the answer but its status. Never rejects. */
export async function post({ url, hmacKey }: NonNullable<Config['webhook']>, body: Buffer): Promise<Delivery> {
  const secure = url.protocol === 'https:'
  const headers = {
    'content-type': 'application/json; charset=utf-8',
    'content-length': body.length,
    ...(hmacKey !== undefined && { 'x-hmac-signature': createHmac('sha256', hmacKey).update(body).digest('base64') }),
  }
  const options = { method: 'POST', headers, agent: agents[secure ? 'https:' : 'http:'], signal: AbortSignal.timeout(TIMEOUT_MS) }
  return new Promise((resolve) => {
    const request = (secure ? requestHttps : requestHttp)(url, options, (response) => {
      response.on('error', () => undefined).resume()
      resolve({ status: response.statusCode ?? 0 })
    })
    request.on('error', (error) => resolve({ failed: inWords(error) }))
    request.end(body)
  })
}
