import fastify from 'fastify'
import cluster from 'node:cluster'
import { fileURLToPath } from 'node:url'
import { listenOn, type Attendance, type Ground } from './attend.ts'
import type { Config } from './base/config.ts'
import type { Deps } from './base/deps.ts'
import { describeListen } from './base/listen-address.ts'
import { sumOfMetrics, type OwnMetrics } from './base/metrics.ts'
import type { Log } from './base/log.ts'
import { keepPost, type Post } from './crew-post.ts'
import type { Answers } from './crew-talk.ts'
import { fleetAnswers } from './demo-far.ts'
import type { ApnsHere } from './demo.ts'
import { metricsPage } from './doors/metrics.ts'

/** Settings by name, as text. */
export type Settings = Record<string, string>

/** What a worker is told before it begins. */
export interface Orders {
  worker: number
  settings: Settings
  here: ApnsHere | undefined
}

interface Crew {
  /** Asks each worker; those that end meanwhile are left out. */
  ask<T>(what: string): Promise<T[]>
  kill(signal: NodeJS.Signals): void
  close(): Promise<void>
}

const MEMBER = fileURLToPath(new URL('./crew-member.js', import.meta.url))

/**
 * BRAMLEY_WORKERS above 1: so many processes serve behind the same addresses, and this one, which has made what is made
 * once, looks after them. One that ends is replaced. Rejects with the first one's reason when they cannot begin.
 */
export async function attendByCrew(deps: Deps, ground: Ground, settings: Settings, closers: (() => Promise<void>)[]): Promise<Attendance> {
  const { config, log } = deps
  const { here, fleet, tls } = ground
  const orders = (worker: number): Orders => ({ worker, settings, here })
  const crew = await startCrew(config.workers, log, (number) => ({ orders: () => orders(number), ...(fleet && fleetAnswers(fleet)) }))
  closers.push(() => crew.close())
  // The certificate was looked at before anybody began; from here on each worker follows its files.
  tls?.stop()
  if (config.tlsFiles) closers.push(passOn('SIGHUP', crew))
  if (config.metricsListen) {
    const metrics = fastify().register(metricsPage(async () => sumOfMetrics(await crew.ask<OwnMetrics>('metrics'))))
    closers.push(async () => metrics.close())
    await listenOn(metrics, config.metricsListen)
  }
  return { ready: () => undefined, drain: async () => void (await crew.ask('drain')) }
}

/** The settings of workers: those in force, on the ports drawn and the database found here. Metrics are ours. */
export function settingsOfWorkers(config: Config, settings: Settings, databaseUrl: string): Settings {
  const { listen, httpListen, adminListen } = config
  return {
    ...settings,
    BRAMLEY_DATABASE_URL: databaseUrl,
    BRAMLEY_LISTEN: describeListen(listen),
    BRAMLEY_HTTP_LISTEN: httpListen ? describeListen(httpListen) : '',
    BRAMLEY_ADMIN_LISTEN: adminListen ? describeListen(adminListen) : '',
    BRAMLEY_METRICS_LISTEN: '',
  }
}

async function startCrew(size: number, log: Log, answers: (number: number) => Answers): Promise<Crew> {
  cluster.setupPrimary({ exec: MEMBER, args: [] })
  const posts = Array.from({ length: size }, (_, index) => keepPost(index + 1, log, answers(index + 1)))
  // However this process ends but by kill -9 (then Node ends them), none is left behind.
  process.on('exit', () => posts.forEach((post) => post.kill('SIGKILL')))
  const crew = crewOf(posts)
  try {
    await Promise.all(posts.map((post) => post.ready))
    return crew
  } catch (error) {
    crew.kill('SIGKILL')
    await Promise.all(posts.map((post) => post.close()))
    throw error
  }
}

function crewOf(posts: Post[]): Crew {
  async function ask<T>(what: string): Promise<T[]> {
    const answers = await Promise.allSettled(posts.map((post) => post.talk().ask<T>(what)))
    return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
  }
  return {
    ask,
    kill: (signal) => posts.forEach((post) => post.kill(signal)),
    async close() {
      const closed = posts.map((post) => post.close())
      await ask('stop')
      await Promise.all(closed)
    },
  }
}

function passOn(signal: 'SIGHUP', crew: Crew): () => Promise<void> {
  const pass = () => crew.kill(signal)
  process.on(signal, pass)
  return async () => void process.off(signal, pass)
}
