import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { join } from 'node:path'
import { pino } from 'pino'
import { inject } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { serve, type Running } from '../../src/main.ts'
import { startApnsStandIn, type ApnsStandIn } from '../../src/simulator/apns-stand-in.ts'
import { freshDatabase, type FreshDatabase } from './pg.ts'

export const KEY = 'test-key-0123456789-0123456789-0123456789'
export const TOPIC = 'com.apple.mgmt.External.8c0f6d52-4b1e-4c53-9f5e-2f1d7a6b9c10'

export interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: Buffer
  /** The body as JSON. */
  json<T = Record<string, unknown>>(): T
}

/** A whole server in this process, on a database of its own, with the stand-in for Apple. */
export interface TestServer {
  url: string
  httpUrl: string
  ca: string
  dataFolder: string
  db: FreshDatabase
  apns: ApnsStandIn
  /** Everything it logged, one parsed line each. */
  logs: Record<string, unknown>[]
  http(method: string, path: string, o?: { headers?: Record<string, string | string[]>; body?: Buffer | string; base?: string }): Promise<Answer>
  api(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  /** A link's token. */
  link(o?: Record<string, unknown>): Promise<string>
  /** Stops it and starts it again on the same data folder, database and ports. */
  restart(): Promise<void>
  stop(): Promise<void>
}

export interface TestServerOptions {
  settings?: Record<string, string>
  db?: FreshDatabase
  /** PEM of the root of its certificate, with BRAMLEY_TLS=files. */
  ca?: string
  /** Without it no push certificate is uploaded. */
  pushCertificate?: boolean
  /** A server already running: this one becomes a second process on its database, with its keys and its stand-in. */
  beside?: TestServer
}

/** Starts one with an API key (KEY) and a push certificate of the stand-in's for TOPIC. */
export async function startBramley(o: TestServerOptions = {}): Promise<TestServer> {
  const dataFolder = mkdtempSync(join(inject('runFolder'), 'bramley-'))
  const db = o.beside?.db ?? o.db ?? (await freshDatabase())
  const apns = o.beside?.apns ?? (await startApnsStandIn())
  const logs: Record<string, unknown>[] = []
  const shared = o.beside && { BRAMLEY_SECRET_KEY_FILE: join(o.beside.dataFolder, 'secret.key'), BRAMLEY_PUBLIC_URL: o.beside.url }
  const voice = { log: pino({ level: 'debug' }, { write: (line: string) => void logs.push(JSON.parse(line)) }), say: () => undefined }
  const running = await serve(configOf(dataFolder, db.url, apns, { ...shared, ...o.settings }), voice)
  const again = (config: Running['config']) => serve({ ...config, bootstrapTokenFile: undefined }, voice)
  const server = dress(running, again, { dataFolder, db, apns, logs }, o)
  if (o.pushCertificate !== false && !o.beside) await uploadPushCertificate(server, apns)
  return server
}

function configOf(dataFolder: string, databaseUrl: string, apns: ApnsStandIn, settings: Record<string, string> = {}) {
  writeFileSync(join(dataFolder, 'key'), KEY)
  writeFileSync(join(dataFolder, 'apns-ca.pem'), apns.caPem)
  return readConfig({
    BRAMLEY_CONFIG: '/dev/null',
    BRAMLEY_DATA: dataFolder,
    BRAMLEY_DATABASE_URL: databaseUrl,
    BRAMLEY_LISTEN: '127.0.0.1:0',
    BRAMLEY_HTTP_LISTEN: '127.0.0.1:0',
    BRAMLEY_METRICS_LISTEN: '',
    BRAMLEY_SIMULATOR: '0',
    BRAMLEY_APNS_HOST: '127.0.0.1',
    BRAMLEY_APNS_PORT: String(apns.port),
    BRAMLEY_APNS_CA: join(dataFolder, 'apns-ca.pem'),
    BRAMLEY_BOOTSTRAP_TOKEN_FILE: join(dataFolder, 'key'),
    BRAMLEY_PUSH_RATE: '1000',
    ...settings,
  })
}

/** Uploads a push certificate issued by the stand-in; returns the answer. */
export function uploadPushCertificate(server: Pick<TestServer, 'api'>, apns: ApnsStandIn, topic = TOPIC): Promise<Answer> {
  const { certificatePem, keyPem } = apns.issuePushCertificate(topic)
  return server.api('POST', '/push-certificates', { certificate: certificatePem, key: keyPem })
}

function dress(
  first: Running, again: (config: Running['config']) => Promise<Running>, parts: Pick<TestServer, 'dataFolder' | 'db' | 'apns' | 'logs'>, o: TestServerOptions,
): TestServer {
  const owns = o.beside === undefined
  let running = first
  const { config } = first
  const url = `${config.tls === 'off' ? 'http' : 'https'}://127.0.0.1:${config.listen.port}`
  const httpUrl = `http://127.0.0.1:${config.httpListen?.port ?? 0}`
  const ca = config.tls === 'self' ? readFileSync(join(parts.dataFolder, 'tls', 'ca.pem'), 'utf8') : (o.ca ?? '')
  const agent = new Agent({ keepAlive: true, ca })
  const http: TestServer['http'] = (method, path, options = {}) => send(options.base ?? url, agent, method, path, options)
  const api: TestServer['api'] = (method, path, body, headers = {}) => http(method, `/api/v1${path}`, {
    headers: { authorization: `Bearer ${KEY}`, ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: Buffer.isBuffer(body) ? body : JSON.stringify(body) }),
  })
  return {
    ...parts, url, httpUrl, ca, http, api,
    async link(o = {}) {
      const answer = await api('POST', '/enrollment-links', { name: 'Test', ...o })
      if (answer.status !== 201) throw new Error(`no link: ${answer.body.toString()}`)
      return answer.json<{ url: string }>().url.split('/e/')[1] ?? ''
    },
    async restart() {
      await running.close()
      running = await again(config)
    },
    async stop() {
      agent.destroy()
      await running.close()
      if (owns) await parts.apns.close()
      if (owns) await parts.db.drop()
      rmSync(parts.dataFolder, { recursive: true, force: true })
    },
  }
}

/** One request over a real connection. */
export function send(
  base: string, agent: Agent | undefined, method: string, path: string,
  o: { headers?: Record<string, string | string[]>; body?: Buffer | string },
): Promise<Answer> {
  const secure = base.startsWith('https:')
  return new Promise((resolve, reject) => {
    const request = (secure ? httpsRequest : httpRequest)(`${base}${path}`, { method, headers: o.headers, ...(secure && agent && { agent }) }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        const body = Buffer.concat(chunks)
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body, json: <T>() => JSON.parse(body.toString()) as T })
      })
    })
    request.on('error', reject)
    request.end(o.body)
  })
}

const SIGHTINGS = new Set(['enrollment_sightings'])

/** Every row of every table as text, but for when devices were last seen: what "nothing was stored" is compared by. */
export async function dumpTables(db: FreshDatabase, besides: Set<string> = SIGHTINGS): Promise<Record<string, string[]>> {
  const tables = (await db.query<{ name: string }>(`select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1`))
    .map(({ name }) => name).filter((name) => !besides.has(name))
  const parts = tables.map((name) => `select '${name}' as name, t::text as row from ${name} t`)
  const dump: Record<string, string[]> = Object.fromEntries(tables.map((name) => [name, []]))
  for (const { name, row } of await db.query<{ name: string; row: string }>(`${parts.join(' union all ')} order by 1, 2`)) dump[name]?.push(row)
  return dump
}

/** Waits for pushes in flight and puts the others off, and for what the webhook is told, so that nothing in the background changes a table meanwhile. */
export async function still({ db }: Pick<TestServer, 'db'>): Promise<void> {
  await until(async () => {
    await db.query(`update push_wakes set due_at = due_at + interval '1 day' where due_at < now() + interval '1 hour' and ticket is null`)
    return (await db.query('select 1 from push_wakes where ticket is not null union all select 1 from jobs union all select 1 from webhook_events')).length === 0
  }, 'quiet')
}

/** Asks again and again, on the next turns of the event loop, until the answer is there; gives up after 15 seconds. */
export async function until<T>(ask: () => Promise<T | undefined | false>, what = 'it'): Promise<T> {
  const end = performance.now() + 15_000
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 15))
  }
}
