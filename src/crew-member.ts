import cluster from 'node:cluster'
import { attend, type Attendance } from './attend.ts'
import { inWords } from './base/in-words.ts'
import { ownMetrics, watchProcess } from './base/metrics.ts'
import { readConfig } from './config.ts'
import type { Orders } from './crew.ts'
import { talkOver } from './crew-talk.ts'
import { farFleet } from './demo-far.ts'
import { loadAuthorities } from './features/identity/index.ts'
import { furnish } from './furnish.ts'
import { openLog } from './log-destination.ts'
import { openTls } from './tls-files.ts'

// What a worker process runs (BRAMLEY_WORKERS): all that serving is. It is told everything by the process that began it,
// ends when that one says so, and Node ends it when that one is gone.

const closers: (() => Promise<void>)[] = []
const talk = talkOver(
  { send: (message) => void process.send?.(message), onMessage: (listener) => void process.on('message', listener) },
  { metrics: ownMetrics, drain: async () => (await begun)?.drain(), stop: () => void end() },
)
// A terminal and systemd signal every process of the group; the one that looks after us says what to do.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined)

// Something was to be told to a process that is gone.
cluster.worker?.on('error', () => process.exit(1))
// While there are orders to come this process stays, whatever else it waits for.
process.channel?.ref()
const begun = begin().catch(fail)

async function begin(): Promise<Attendance> {
  const { worker, settings, here } = await talk.ask<Orders>('orders')
  const config = readConfig({}, settings)
  const log = openLog(config).child({ worker })
  const { deps } = await furnish(config, log, config.databaseUrl ?? '')
  closers.push(() => deps.db.close())
  watchProcess(deps.db)
  const authorities = await loadAuthorities(deps)
  const tls = openTls(config, log, deps.clock())
  if (tls) closers.push(async () => tls.stop())
  const attendance = await attend(deps, { authorities, tls, here, fleet: here && farFleet(talk) }, closers)
  attendance.ready()
  await talk.ask('ready')
  log.info({ pid: process.pid }, 'worker ready')
  return attendance
}

async function fail(error: unknown): Promise<never> {
  await talk.ask('failed', inWords(error))
  process.exit(1)
}

/** Also one that has only just begun ends in order. */
async function end(): Promise<void> {
  const attendance = await begun
  await attendance.drain()
  for (const closer of closers.splice(0).toReversed()) await closer()
  process.exit(0)
}
