import fastify, { type FastifyInstance } from 'fastify'
import { buildApp, type Door } from './app.ts'
import type { Deps } from './base/deps.ts'
import type { ListenAddress } from './base/listen-address.ts'
import type { Fleet } from './demo-shown.ts'
import { apnsAddresses, type ApnsHere } from './demo.ts'
import type { HealthState } from './doors/health.ts'
import { metricsDoor } from './doors/metrics.ts'
import { startSightings } from './features/enrollments/index.ts'
import type { Authorities } from './features/identity/index.ts'
import { openClients } from './features/push/index.ts'
import type { LiveTls } from './tls-files.ts'
import { startWorkers } from './workers.ts'

/** What a process that serves stands on, besides `Deps`. */
export interface Ground {
  authorities: Authorities
  tls: LiveTls | undefined
  /** The stand-in and its devices, while the simulator is on. */
  here: ApnsHere | undefined
  fleet: Fleet | undefined
}

/** Those who serve: this process, or several that it looks after. */
export interface Attendance {
  /** From here on `/readyz` says yes. */
  ready(): void
  /** From here on `/readyz` says no; everything else goes on. */
  drain(): void | Promise<void>
}

/** Starts what serves in this process: background work, then listeners. What ends it is added to `closers`, in order. */
export async function attend(deps: Deps, ground: Ground, closers: (() => Promise<void>)[]): Promise<Attendance> {
  const { authorities, tls, here, fleet } = ground
  const root = tls?.current.rootDer
  const health: HealthState = { ready: false, draining: false }
  const sightings = startSightings(deps)
  closers.push(() => sightings.stop())
  const pushClients = openClients(deps, apnsAddresses(deps.config, here))
  const parts = { authorities, sightings, health, trustRoots: root ? [root] : [], fleet, pushClients }
  if (deps.config.doors === 'all') {
    const workers = startWorkers(deps, pushClients)
    closers.push(() => workers.stop())
  }
  for (const listener of await listen(deps, (doors, secure) => buildApp(deps, parts, doors, secure ? tls : undefined))) {
    closers.push(() => listener.close())
  }
  return {
    ready: () => void (health.ready = true),
    drain: () => void (health.draining = true),
  }
}

type Make = (doors: Door[], secure: boolean) => FastifyInstance

async function listen(deps: Deps, make: Make): Promise<FastifyInstance[]> {
  const { config } = deps
  const doors: Door[] = config.doors === 'checkin' ? ['checkin'] : config.adminListen ? ['device'] : ['device', 'admin']
  const opened: FastifyInstance[] = []
  const add = async (address: ListenAddress | undefined, app: () => FastifyInstance | Promise<FastifyInstance>) => {
    if (!address) return
    const listener = await app()
    await listenOn(listener, address)
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

/** Opens an application's listener. */
export async function listenOn(app: FastifyInstance, { host, port }: ListenAddress): Promise<void> {
  await app.listen({ host: host === '' ? '::' : host, port })
}
