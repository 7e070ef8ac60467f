#!/usr/bin/env node
// `npm run bench`: what a poll, a report, an enrollment and a queued command cost, beside a trivial Fastify route and one
// prepared UPDATE in the same run. Prints figures and ratios; judges nothing. Absolute figures belong to this machine.
import { spawn } from 'node:child_process'
import { randomBytes, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { cpuOf } from './bench/cpu.mjs'
import { load, send } from './bench/load.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const dist = (path) => import(join(ROOT, 'dist', path))
const DEVICES = Number(process.env.BENCH_DEVICES ?? 200)
const SECONDS = Number(process.env.BENCH_SECONDS ?? 5)
const CONNECTIONS = [16, 64]
const TYPES = ['ProfileList', 'SecurityInfo', 'CertificateList', 'InstalledApplicationList', 'ProvisioningProfileList']

const { signDetachedLikeIos } = await dist('apple/wire/cms-sign.js')
const { encodePlist } = await dist('apple/wire/plist-writer.js')
const { decodePlist } = await dist('apple/wire/plist.js')
const { verifyAttached } = await dist('apple/wire/cms.js')
const { readEnrollmentProfile } = await dist('apple/wire/mobileconfig.js')
const { pkcsReq, readCertRep } = await dist('apple/wire/scep-client.js')
const { readSignedData } = await dist('apple/wire/signed-data.js')
const { readCertificate } = await dist('apple/wire/x509.js')
const { issueCertificate } = await dist('apple/wire/x509-issue.js')
const { distinguishedName } = await dist('apple/wire/x509-name.js')
const { createCsr } = await dist('apple/wire/csr.js')
const { databaseUrl, findEmbeddedPostgres } = await dist('base/embedded-postgres.js')

const folder = mkdtempSync(join(tmpdir(), 'bramley-bench-'))
const KEY = randomBytes(24).toString('hex')
writeFileSync(join(folder, 'key'), KEY)
const rows = []
const round = (ms) => Math.round(ms * 10) / 10

async function bench() {
  await trivialRoute()
  await preparedUpdate()
  const devices = await enroll()
  for (const connections of CONNECTIONS) await idle(devices, connections)
  await enqueue(devices)
  await drain(devices)
  console.table(rows)
  const [trivial, update, , poll] = rows
  console.log(`idle poll, server CPU against the trivial route: ${(poll['server µs'] / trivial['server µs']).toFixed(1)} ×`)
  console.log(`idle poll, PostgreSQL CPU against one prepared UPDATE: ${(poll['postgres µs'] / update['postgres µs']).toFixed(2)} ×`)
}

/** Runs one phase and adds its row: rate, latencies, CPU of server and PostgreSQL for each request. */
async function phase(name, pid, run) {
  const before = [cpuOf(pid), cpuOf(postgres)]
  const result = await run()
  const per = (after, since) => Math.round((after - since) / result.requests)
  rows.push({
    phase: name, 'per s': Math.round(result.requests / result.seconds), requests: result.requests, errors: result.errors,
    'p50 ms': round(result.p50), 'p99 ms': round(result.p99), 'server µs': per(cpuOf(pid), before[0]), 'postgres µs': per(cpuOf(postgres), before[1]),
  })
}

async function trivialRoute() {
  const child = spawn(process.execPath, [join(ROOT, 'scripts/bench/baseline.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] })
  process.once('exit', () => child.kill())
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  const body = encodePlist({ Status: 'Idle', UDID: 'x' })
  await phase('trivial Fastify route', child.pid, () => load({ port: Number(line), connections: 64, seconds: SECONDS, next: () => ({ headers: { 'content-type': 'a/b' }, body }) }))
  child.kill()
}

async function preparedUpdate() {
  const pool = new pg.Pool({ connectionString: own, max: 16 })
  await pool.query('create table if not exists bench_rows (id int primary key, seen timestamptz); truncate bench_rows')
  await pool.query('insert into bench_rows select i, now() from generate_series(1, 1000) i')
  const end = performance.now() + SECONDS * 1_000
  await phase('one prepared UPDATE, 16 connections', process.pid, async () => {
    const started = performance.now()
    let requests = 0
    await Promise.all(Array.from({ length: 16 }, async (_, worker) => {
      for (let i = worker; performance.now() < end; i += 16) {
        await pool.query({ name: 'bench', text: 'update bench_rows set seen = now() where id = $1 returning id', values: [(i % 1_000) + 1] })
        requests += 1
      }
    }))
    return { requests, errors: 0, seconds: (performance.now() - started) / 1_000, p50: 0, p99: 0 }
  })
  await pool.query('drop table bench_rows')
  await pool.end()
}

async function enroll() {
  const { privateKey: key, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const spki = publicKey.export({ format: 'der', type: 'spki' })
  const now = Date.now()
  const self = {
    key,
    certificate: readCertificate(issueCertificate({
      subject: distinguishedName([['CN', 'bench']]), spki, serialNumber: randomBytes(16), notBefore: new Date(now - 3_600_000),
      notAfter: new Date(now + 86_400_000), issuer: { selfSigned: key }, profile: 'device',
    })),
  }
  const link = (await api('POST', '/enrollment-links', { name: 'bench' })).url.split('/e/')[1]
  const certificates = readSignedData((await plain('GET', '/scep?operation=GetCACert')).body).certificates.map((der) => readCertificate(der))
  const recipient = certificates.find((certificate) => !certificate.isCa)
  const devices = []
  await phase('enroll: profile, SCEP, Authenticate, TokenUpdate', server.child.pid, async () => {
    const started = performance.now()
    const one = async (index) => {
      const profile = readEnrollmentProfile(verifyAttached((await plain('GET', `/e/${link}/profile`)).body).content)
      const csr = createCsr({ subject: distinguishedName([['CN', 'bench']]), key, challengePassword: profile.scep.challenge })
      const body = pkcsReq({ csr, signer: self, recipient, messageType: '19', transactionId: randomBytes(16).toString('hex') })
      const answer = await plain('POST', '/scep?operation=PKIOperation', { 'content-type': 'application/x-pki-message' }, body)
      const identity = { key, certificate: readCertRep(answer.body, self).certificate }
      const device = { udid: `00008120-${String(index).padStart(16, '0')}`, identity }
      await put(device, { MessageType: 'Authenticate', Topic: profile.topic, ProductName: 'iPhone15,2', OSVersion: '18.0' }, true)
      await put(device, { MessageType: 'TokenUpdate', Topic: profile.topic, Token: randomBytes(32), PushMagic: 'bench' }, true)
      devices.push(device)
    }
    let index = 0
    await Promise.all(Array.from({ length: 8 }, async () => {
      while (index < DEVICES) await one(index++)
    }))
    return { requests: DEVICES, errors: 0, seconds: (performance.now() - started) / 1_000, p50: 0, p99: 0 }
  })
  await plainQuery('delete from push_wakes')
  for (const device of devices) device.idle = message(device, { Status: 'Idle' })
  return devices
}

async function idle(devices, connections) {
  await phase(`idle poll, ${connections} connections`, server.child.pid, () =>
    load({ port: server.port, connections, seconds: SECONDS, next: (index) => devices[index % devices.length].idle }))
}

async function enqueue(devices) {
  await phase('enqueue by the API', server.child.pid, () => load({
    port: server.port, connections: 16,
    next: (index) => index < devices.length * TYPES.length ? {
      method: 'POST', path: `/api/v1/devices/${devices[index % devices.length].udid}/commands`,
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify({ type: TYPES[Math.floor(index / devices.length)] })),
    } : undefined,
  }))
}

async function drain(devices) {
  const waiting = devices.map((device) => ({ device, request: device.idle }))
  await phase('drain: report and next command', server.child.pid, () => load({
    port: server.port, connections: 16,
    next: () => {
      const turn = waiting.shift()
      return turn && { ...turn.request, device: turn.device }
    },
    onAnswer: ({ device }, { body }) => {
      if (body.length === 0) return
      waiting.push({ device, request: message(device, { Status: 'Acknowledged', CommandUUID: decodePlist(body).CommandUUID }) })
    },
  }))
}

function message(device, fields, checkin = false) {
  const body = encodePlist({ UDID: device.udid, ...fields })
  const type = checkin ? 'application/x-apple-aspen-mdm-checkin' : 'application/x-apple-aspen-mdm; charset=UTF-8'
  return { headers: { 'content-type': type, 'mdm-signature': signDetachedLikeIos(body, device.identity).toString('base64') }, body }
}

async function put(device, fields, checkin) {
  const answer = await send(undefined, server.port, message(device, fields, checkin))
  if (answer.status !== 200) throw new Error(`${fields.MessageType} was answered ${answer.status}`)
}

const plain = (method, path, headers, body) => send(undefined, server.port, { method, path, headers, body })
const api = async (method, path, body) => JSON.parse((await plain(method, `/api/v1${path}`, { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' }, Buffer.from(JSON.stringify(body)))).body)

async function plainQuery(sql) {
  const client = new pg.Client({ connectionString: own })
  await client.connect()
  await client.query(sql)
  await client.end()
}

function once(emitter, event) {
  return new Promise((resolve) => emitter.once(event, (...values) => resolve(values)))
}

async function startServer() {
  const env = {
    PATH: process.env.PATH, BRAMLEY_DATA: folder, BRAMLEY_LISTEN: '127.0.0.1:0', BRAMLEY_HTTP_LISTEN: '127.0.0.1:0', BRAMLEY_METRICS_LISTEN: '',
    BRAMLEY_SIMULATOR: '1', BRAMLEY_SIMULATOR_LISTEN: '127.0.0.1:0', BRAMLEY_BOOTSTRAP_TOKEN_FILE: join(folder, 'key'), BRAMLEY_LOG_LEVEL: 'info', BRAMLEY_LOG_FORMAT: 'json',
  }
  const child = spawn(process.execPath, [join(ROOT, 'dist/cli/main.js'), 'serve'], { env, stdio: ['ignore', 'pipe', 'ignore'] })
  const lines = createInterface({ input: child.stdout })
  const ready = await new Promise((resolve, reject) => {
    lines.on('line', (line) => line.includes('"ready"') && resolve(JSON.parse(line)))
    child.once('close', () => reject(new Error('the server did not start')))
  })
  lines.on('line', () => undefined)
  return { child, port: Number(new URL(ready.httpListen).port) }
}

const server = await startServer()
process.once('exit', () => server.child.kill('SIGKILL'))
const postgres = Number(readFileSync(join(folder, 'pg', 'data', 'postmaster.pid'), 'utf8').split('\n')[0])
const own = databaseUrl(await findEmbeddedPostgres(join(folder, 'pg')))
try {
  await bench()
} finally {
  server.child.kill('SIGTERM')
  await new Promise((resolve) => server.child.once('close', resolve))
  rmSync(folder, { recursive: true, force: true })
}
