import type { FastifyInstance } from 'fastify'
import type { Deps } from '../base/deps.ts'
import { registry, watchProcess } from '../base/metrics.ts'

/**
 * `/metrics` of this process in the text format of Prometheus. It asks for no key, so it belongs on a listener of its
 * own, not on the public one.
 */
export function metricsDoor(deps: Pick<Deps, 'db'>) {
  return async (app: FastifyInstance): Promise<void> => {
    watchProcess(deps.db)
    await app.register(metricsPage(() => registry.metrics()))
  }
}

/** The same with what `read` gives. */
export function metricsPage(read: () => Promise<string>) {
  return async (app: FastifyInstance): Promise<void> => {
    app.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await read()))
  }
}
