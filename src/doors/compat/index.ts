import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Deps } from '../../base/deps.ts'
import { counted } from '../../base/metrics.ts'
import type { Clients } from '../../features/push/index.ts'
import { acceptBodies } from './body.ts'
import { gate } from './gate.ts'
import { addMigration, addRoutes } from './routes.ts'
import { speak } from './speech.ts'

/** NanoMDM's own paths, and those under which NanoHUB mounts the same API. */
const PREFIXES = ['/v1', '/api/v1/nanomdm']

/**
 * The door for scripts and servers written for NanoMDM: push, enqueue, pushcert, escrowkeyunlock and migration, with upstream's methods,
 * statuses and JSON (nanomdm, docs/openapi.yaml). An encapsulated plugin, mounted at the root.
 */
export function compatDoor(deps: Deps, clients: Clients) {
  return async (app: FastifyInstance): Promise<void> => {
    app.setErrorHandler(speak(deps.log))
    gate(app, deps)
    acceptBodies(app)
    app.addHook('onSend', async (request, reply) => {
      reply.headers({ 'x-request-id': request.id, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
    })
    app.addHook('onResponse', async (request, reply) => note(deps, request, reply))
    for (const prefix of PREFIXES) addRoutes(app, deps, clients, prefix)
    addMigration(app, deps)
  }
}

/** The route's template, never its URL. */
function note({ log }: Deps, request: FastifyRequest, reply: FastifyReply): void {
  const url = request.routeOptions.url ?? 'unmatched'
  counted.request(url, request.method, reply.statusCode, reply.elapsedTime / 1000)
  log.info({
    door: 'compat', requestId: request.id, route: `${request.method} ${url}`, status: reply.statusCode, ms: Math.round(reply.elapsedTime),
    ...(request.principal && { apiKey: request.principal.id }),
  }, 'request')
}
