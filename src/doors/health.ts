import type { FastifyInstance } from 'fastify'
import type { Deps } from '../base/deps.ts'
import { readMigrations, schemaVersion } from '../base/migrate.ts'
import { vaultFits } from '../base/vault-canary.ts'
import { VERSION } from '../base/version.ts'

/** Told by the root: `ready` once everything has started, `draining` from the first sign of stopping. */
export interface HealthState {
  ready: boolean
  draining: boolean
}

interface Check {
  name: 'process' | 'database' | 'migrations' | 'secret_key'
  ok: boolean
  detail?: string
}

const RETRY_SECONDS = '5'

/**
 * `/healthz` (the process lives; asks nobody), `/readyz` (it can work: database, migrations, secret key; 503
 * otherwise, and while starting or draining) and `/version`. None needs a key, none tells anything about the devices.
 */
export function healthDoor(deps: Deps, state: HealthState) {
  const inspect = oneAtATime(() => inspectAll(deps, readMigrations().length))
  return async (app: FastifyInstance): Promise<void> => {
    app.addHook('onSend', async (_request, reply) => {
      reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
    })
    app.get('/healthz', async () => ({ status: 'ok' }))
    // Bytes, because Fastify adds a charset to JSON that is a string, and NanoMDM has none. It asks for no method either.
    app.all('/version', (_request, reply) => reply.header('content-type', 'application/json').send(Buffer.from(JSON.stringify({ version: VERSION }))))
    app.get('/readyz', async (_request, reply) => {
      const phase = state.draining ? 'draining' : state.ready ? 'running' : 'starting'
      const checks: Check[] = [{ name: 'process', ok: phase === 'running', detail: phase }, ...(await inspect())]
      const ready = checks.every((check) => check.ok)
      if (!ready) reply.code(503).header('retry-after', RETRY_SECONDS)
      return { status: ready ? 'ready' : 'not_ready', checks }
    })
  }
}

async function inspectAll(deps: Deps, expected: number): Promise<Check[]> {
  const version = await attempt(() => schemaVersion((sql) => deps.db.pool.query(sql)))
  // A newer schema is fine: during an upgrade the old processes go on working on it.
  const current = version !== undefined && version >= expected
  const detail = version === undefined ? 'unknown' : `schema ${version}, this program has ${expected}`
  return [
    { name: 'database', ok: version !== undefined },
    { name: 'migrations', ok: current, detail },
    { name: 'secret_key', ok: current && (await attempt(() => vaultFits(deps))) === true },
  ]
}

/** What went wrong is for the log of whoever needs the database next, not for a stranger who asks for readiness. */
async function attempt<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask()
  } catch {
    return undefined
  }
}

/** Whoever asks while an answer is on its way shares it: strangers cannot use up database connections here. */
function oneAtATime<T>(ask: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  return () => (running ??= ask().finally(() => {
    running = undefined
  }))
}
