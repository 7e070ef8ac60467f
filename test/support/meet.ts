import { randomUUID } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inject } from 'vitest'
import type { ApnsStandIn } from '../../src/simulator/apns-stand-in.ts'
import { KEY, send, type TestServer } from './bramley.ts'

/** A new data folder for `startServer`, with the settings that give it the key KEY and the stand-in instead of Apple. */
export function furnished(apns: ApnsStandIn): { dataFolder: string; env: Record<string, string> } {
  const dataFolder = mkdtempSync(join(inject('runFolder'), 'data-'))
  writeFileSync(join(dataFolder, 'key'), KEY)
  writeFileSync(join(dataFolder, 'apns-ca.pem'), apns.caPem)
  return {
    dataFolder,
    env: {
      BRAMLEY_APNS_HOST: '127.0.0.1', BRAMLEY_APNS_PORT: String(apns.port), BRAMLEY_APNS_CA: join(dataFolder, 'apns-ca.pem'),
      BRAMLEY_BOOTSTRAP_TOKEN_FILE: join(dataFolder, 'key'),
    },
  }
}

/** As much of a TestServer as raw devices and scripts need, over plain HTTP at `base`, a connection for each request. */
export function meet(base: () => string, apns: ApnsStandIn): TestServer {
  const http: TestServer['http'] = (method, path, o = {}) =>
    send(base(), undefined, method, path, { ...o, headers: { connection: 'close', ...o.headers } })
  const api: TestServer['api'] = (method, path, body, headers = {}) => http(method, `/api/v1${path}`, {
    headers: { authorization: `Bearer ${KEY}`, ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const link = async (o = {}) => {
    const answer = await api('POST', '/enrollment-links', { name: 'Test', slug: randomUUID(), ...o })
    return answer.json<{ url: string }>().url.split('/e/')[1] ?? ''
  }
  return { http, api, link, apns } as TestServer
}
