import { AggregatorRegistry, Counter, Gauge, Histogram, Registry, collectDefaultMetrics, type MetricObjectWithValues, type MetricValue } from 'prom-client'
import type { Db } from './db.ts'
import { VERSION } from './version.ts'

/**
 * Everything that `/metrics` shows of this process. Base units, `_total` for counters, labels of low cardinality only.
 */
export const registry = new Registry()

const registers = [registry]

const buildInfo = new Gauge({
  name: 'bramley_build_info',
  help: 'Always 1; the version is a label.',
  labelNames: ['version'],
  registers,
  aggregator: 'first',
})
buildInfo.set({ version: VERSION }, 1)

const httpRequests = new Counter({
  name: 'bramley_http_requests_total',
  help: 'Requests by route template.',
  labelNames: ['route', 'method', 'code'],
  registers,
})
const httpSeconds = new Histogram({
  name: 'bramley_http_request_duration_seconds',
  help: 'Time to answer by route template.',
  labelNames: ['route', 'method'],
  buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10],
  registers,
})
const checkins = new Counter({
  name: 'bramley_checkins_total',
  help: 'Check-in messages of devices.',
  labelNames: ['message', 'result'],
  registers,
})
const connects = new Counter({
  name: 'bramley_connects_total',
  help: 'Polls and reports of devices by the Status they sent.',
  labelNames: ['status'],
  registers,
})
const commands = new Counter({
  name: 'bramley_commands_total',
  help: 'Commands that entered a state.',
  labelNames: ['type', 'state'],
  registers,
})
const pushRequests = new Counter({
  name: 'bramley_push_requests_total',
  help: 'Answers of the push service.',
  labelNames: ['result', 'simulated'],
  registers,
})
const scepRequests = new Counter({
  name: 'bramley_scep_requests_total',
  help: 'SCEP requests.',
  labelNames: ['result'],
  registers,
})
const webhookEvents = new Counter({
  name: 'bramley_webhook_events_total',
  help: 'Tries to deliver an event to the webhook, and events that were given up.',
  labelNames: ['result'],
  registers,
})
const authFailures = new Counter({
  name: 'bramley_auth_failures_total',
  help: 'Refused proofs of identity.',
  labelNames: ['kind'],
  registers,
})

/**
 * Counts what happened, one line at the place where it happens. Never pass a value that a stranger chose freely: each
 * new label value is a new time series.
 */
export const counted = {
  /** One answered request; `route` is the template, or `unmatched`. */
  request(route: string, method: string, code: number, seconds: number): void {
    httpRequests.inc({ route, method, code })
    httpSeconds.observe({ route, method }, seconds)
  },
  /** `message` is the MessageType when it is one we know, else `unknown`. */
  checkin(message: string, result: 'accepted' | 'refused' | 'failed'): void {
    checkins.inc({ message, result })
  },
  /** `status` is the Status when it is one we know, else `unknown`. */
  connect(status: string): void {
    connects.inc({ status })
  },
  /** `type` is a RequestType of Apple's catalogue, else `other`. */
  command(type: string, state: string): void {
    commands.inc({ type, state })
  },
  /** `result` is `accepted`, or the reason that Apple gave. */
  push(result: string, simulated: boolean): void {
    pushRequests.inc({ result, simulated: String(simulated) })
  },
  scep(result: string): void {
    scepRequests.inc({ result })
  },
  webhook(result: 'accepted' | 'refused' | 'away' | 'given_up'): void {
    webhookEvents.inc({ result })
  },
  /** `kind` is a problem code of the admin door, or why the device door refused an identity. */
  authFailure(kind: string): void {
    authFailures.inc({ kind })
  },
}

/**
 * Adds what can be known only at run time: the connections of the pool, and Node's own figures. Once for each process.
 */
export function watchProcess(db: Db): void {
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'bramley_db_pool_connections',
    help: 'Database connections of this process, and callers waiting for one.',
    labelNames: ['state'],
    registers,
    collect() {
      this.set({ state: 'idle' }, db.pool.idleCount)
      this.set({ state: 'busy' }, db.pool.totalCount - db.pool.idleCount)
      this.set({ state: 'waiting' }, db.pool.waitingCount)
    },
  })
}

/** The metrics of one process, as they travel to the one that adds them up. */
export type OwnMetrics = MetricObjectWithValues<MetricValue<string>>[]

/** The metrics of this process. */
export function ownMetrics(): Promise<OwnMetrics> {
  return registry.getMetricsAsJSON()
}

/** One page for several processes: counters, histograms and connections are sums; Node's figures as prom-client adds them up. */
export async function sumOfMetrics(parts: OwnMetrics[]): Promise<string> {
  return AggregatorRegistry.aggregate(parts).metrics()
}
