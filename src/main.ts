import fastify, { type FastifyInstance } from 'fastify'
import { readFileSync } from 'node:fs'
import { buildApp, type Door } from './app.ts'
import { encodePem } from './apple/wire/pem.ts'
import { startDatabase, type RunningDatabase } from './database.ts'
import { metricsDoor } from './doors/metrics.ts'
import type { HealthState } from './doors/health.ts'
import { openDb } from './base/db.ts'
import type { Deps } from './base/deps.ts'
import { describeListen, type ListenAddress } from './base/listen-address.ts'
import { readSecretKey } from './base/secret-key.ts'
import { openVault } from './base/vault.ts'
import { vaultFits } from './base/vault-canary.ts'
import { workOver } from './base/work.ts'
import type { Config } from './base/config.ts'
import { bootstrapKey, makeSetupToken } from './features/access/index.ts'
import { publishCheckinRoot } from './features/enrollment-profiles/index.ts'
import { startSightings } from './features/enrollments/index.ts'
import { loadAuthorities } from './features/identity/index.ts'
import { openClients } from './features/push/index.ts'
import { openLog } from './log-destination.ts'
import { withRealPorts } from './ports.ts'
import { react, reactToAll } from './reactions.ts'
import { startSimulator } from './demo.ts'
import { Summary } from './summary.ts'
import { openTls, type LiveTls } from './tls-files.ts'
import { startWorkers } from './workers.ts'

/** A server that runs; `close` ends it in order. */
export interface Running {
  config: Config
  close(): Promise<void>
}

/** Where it speaks, when not to stdout and stderr. */
export interface Voice {
  log?: Deps['log']
  say?: (line: string) => void
}

/** `bramley serve`: settings, database, secrets, certificates, workers, listeners, in this order; the reverse to close. */
export async function serve(settings: Config, voice: Voice = {}): Promise<Running> {
  const config = await withRealPorts(settings)
  const log = voice.log ?? openLog(config)
  const summary = new Summary(config, voice.say)
  const closers: (() => Promise<void>)[] = []
  const close = async () => {
    for (const closer of closers.splice(0).toReversed()) await closer()
  }
  try {
    const database = await startDatabase(config, log)
    closers.push(() => database.stop())
    summary.database(database)
    const { deps, created } = await furnish(config, log, database)
    closers.push(() => deps.db.close())
    summary.secrets(created)
    await open(deps, summary, closers)
    return { config, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function furnish(config: Config, log: Deps['log'], database: RunningDatabase): Promise<{ deps: Deps; created: boolean }> {
  const { key, created } = readSecretKey(config.secretKeyFile)
  const db = openDb(database.url, log, config.databasePool)
  const deps: Deps = { config, db, log, vault: openVault(key), work: workOver(db, react, reactToAll), clock: () => new Date() }
  if (await vaultFits(deps)) return { deps, created }
  await db.close()
  throw new Error(`${config.secretKeyFile} is not the key that sealed this database: put the right file in its place`)
}

async function open(deps: Deps, summary: Summary, closers: (() => Promise<void>)[]): Promise<void> {
  const { config } = deps
  const authorities = await loadAuthorities(deps)
  const bootstrapped = config.bootstrapTokenFile === undefined ? false : await bootstrapKey(deps, readFileSync(config.bootstrapTokenFile, 'utf8'))
  if (config.bootstrapTokenFile !== undefined && !bootstrapped) deps.log.info('BRAMLEY_BOOTSTRAP_TOKEN_FILE is ignored: there is an API key already')
  const tls = openTls(config, deps.log, deps.clock())
  if (tls) closers.push(async () => tls.stop())
  summary.tls(tls?.current)
  const root = tls?.current.rootDer
  const simulator = await startSimulator(deps, root && encodePem('CERTIFICATE', root))
  closers.push(() => simulator.stop())
  if (config.doors === 'all') summary.push(simulator)
  await publishCheckinRoot(deps, root)
  const health: HealthState = { ready: false, draining: false }
  const sightings = startSightings(deps)
  closers.push(() => sightings.stop())
  const pushClients = openClients(deps, simulator.addressOf)
  const parts = { authorities, sightings, health, trustRoots: root ? [root] : [], fleet: simulator.fleet, pushClients }
  if (config.doors === 'all') {
    const workers = startWorkers(deps, pushClients)
    closers.push(() => workers.stop())
  }
  for (const listener of await listen(deps, (doors, secure) => buildApp(deps, parts, doors, secure ? tls : undefined))) {
    closers.push(() => listener.close())
  }
  closers.push(async () => {
    health.draining = true
    await simulator.fleet?.stop()
  })
  health.ready = true
  summary.fleet(await simulator.fleet?.resume())
  if (config.doors === 'all') summary.ready(await makeSetupToken(deps))
  else summary.readyForCheckins()
  announce(deps, tls)
}

type Make = (doors: Door[], secure: boolean) => FastifyInstance

async function listen(deps: Deps, make: Make): Promise<FastifyInstance[]> {
  const { config } = deps
  const doors: Door[] = config.doors === 'checkin' ? ['checkin'] : config.adminListen ? ['device'] : ['device', 'admin']
  const opened: FastifyInstance[] = []
  const add = async (address: ListenAddress | undefined, app: () => FastifyInstance | Promise<FastifyInstance>) => {
    if (!address) return
    const listener = await app()
    await listener.listen({ host: address.host === '' ? '::' : address.host, port: address.port })
    opened.push(listener)
  }
  try {
    await add(config.listen, () => make(doors, config.tls !== 'off'))
    await add(config.httpListen, () => make(doors, false))
    await add(config.adminListen, () => make(['admin'], config.tls !== 'off'))
    await add(config.metricsListen, () => fastify().register(metricsDoor(deps)))
  } catch (error) {
    await Promise.all(opened.map((listener) => listener.close()))
    throw error
  }
  return opened
}

/** The one line that tools wait for. */
function announce({ config, log }: Deps, tls: LiveTls | undefined): void {
  const scheme = tls ? 'https' : 'http'
  const shown = (address: ListenAddress | undefined, with_: string) =>
    address && `${with_}://${describeListen({ ...address, host: address.host === '' ? '127.0.0.1' : address.host })}`
  log.info({
    publicUrl: config.publicUrl.origin,
    ...(config.doors === 'checkin' && { checkinUrl: config.checkinUrl?.origin }),
    listen: shown(config.listen, scheme),
    httpListen: shown(config.httpListen, 'http'),
    adminListen: shown(config.adminListen, scheme),
    metricsListen: shown(config.metricsListen, 'http'),
  }, 'ready')
}
