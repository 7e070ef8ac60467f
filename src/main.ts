import { readFileSync } from 'node:fs'
import { encodePem } from './apple/wire/pem.ts'
import { attend } from './attend.ts'
import { attendByCrew, settingsOfWorkers, type Settings } from './crew.ts'
import { startDatabase } from './database.ts'
import type { Deps } from './base/deps.ts'
import { describeListen, type ListenAddress } from './base/listen-address.ts'
import type { Config } from './base/config.ts'
import { bootstrapKey, makeSetupToken } from './features/access/index.ts'
import { publishCheckinRoot } from './features/enrollment-profiles/index.ts'
import { loadAuthorities } from './features/identity/index.ts'
import { furnish } from './furnish.ts'
import { openLog } from './log-destination.ts'
import { withRealPorts } from './ports.ts'
import { startSimulator } from './demo.ts'
import { nearFleet } from './demo-shown.ts'
import { Summary } from './summary.ts'
import { openTls, type LiveTls } from './tls-files.ts'

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

/**
 * `bramley serve`: settings, database, secrets, certificates, workers, listeners, in this order; the reverse to close.
 * `texts` are the same settings as text (`settingsInForce`), for worker processes.
 */
export async function serve(settings: Config, voice: Voice = {}, texts: Settings = {}): Promise<Running> {
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
    const { deps, created } = await furnish(config, log, database.url)
    closers.push(() => deps.db.close())
    summary.secrets(created)
    await open(deps, settingsOfWorkers(config, texts, database.url), summary, closers)
    return { config, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function open(deps: Deps, texts: Settings, summary: Summary, closers: (() => Promise<void>)[]): Promise<void> {
  const { config } = deps
  const authorities = await loadAuthorities(deps)
  await bootstrap(deps)
  const tls = openTls(config, deps.log, deps.clock())
  if (tls) closers.push(async () => tls.stop())
  summary.tls(tls?.current)
  const root = tls?.current.rootDer
  const simulator = await startSimulator(deps, root && encodePem('CERTIFICATE', root))
  closers.push(() => simulator.stop())
  if (config.doors === 'all') summary.push(simulator)
  await publishCheckinRoot(deps, root)
  const fleet = simulator.fleet && nearFleet(deps, simulator.fleet)
  const ground = { authorities, tls, here: simulator.here, fleet }
  const attendance = config.workers > 1 ? await attendByCrew(deps, ground, texts, closers) : await attend(deps, ground, closers)
  closers.push(async () => {
    await attendance.drain()
    await simulator.fleet?.stop()
  })
  attendance.ready()
  summary.workers()
  summary.fleet(await simulator.fleet?.resume())
  if (config.doors === 'all') summary.ready(await makeSetupToken(deps))
  else summary.readyForCheckins()
  announce(deps, tls)
}

async function bootstrap(deps: Deps): Promise<void> {
  const file = deps.config.bootstrapTokenFile
  if (file === undefined || (await bootstrapKey(deps, readFileSync(file, 'utf8')))) return
  deps.log.info('BRAMLEY_BOOTSTRAP_TOKEN_FILE is ignored: there is an API key already')
}

/** The one line that tools wait for. */
function announce({ config, log }: Deps, tls: LiveTls | undefined): void {
  const scheme = tls ? 'https' : 'http'
  const shown = (address: ListenAddress | undefined, with_: string) =>
    address && `${with_}://${describeListen({ ...address, host: address.host === '' ? '127.0.0.1' : address.host })}`
  log.info({
    publicUrl: config.publicUrl.origin,
    ...(config.doors === 'checkin' && { checkinUrl: config.checkinUrl?.origin }),
    workers: config.workers,
    listen: shown(config.listen, scheme),
    httpListen: shown(config.httpListen, 'http'),
    adminListen: shown(config.adminListen, scheme),
    metricsListen: shown(config.metricsListen, 'http'),
  }, 'ready')
}
