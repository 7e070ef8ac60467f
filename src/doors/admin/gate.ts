import type { FastifyInstance, FastifyRequest } from 'fastify'
import { allows } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import { counted } from '../../base/metrics.ts'
import { Problem } from '../../base/problem.ts'
import { authenticate } from '../../features/access/index.ts'

const KEY_PARAMETERS = new Set(['access_token', 'api_key', 'apikey', 'authorization', 'token'])

/** Lets a request in by its API key, before its body is read; what the key must be able to do stands on the route. */
export function gate(app: FastifyInstance, deps: Deps): void {
  app.decorateRequest('principal', undefined)
  app.addHook('onRequest', async (request) => {
    if (request.is404) return
    try {
      refuseKeyInQuery(request)
      await admit(deps, request)
    } catch (error) {
      if (error instanceof Problem && error.status < 500) counted.authFailure(error.code)
      throw error
    }
  })
}

async function admit(deps: Deps, request: FastifyRequest): Promise<void> {
  const { scope } = request.routeOptions.config
  if (scope === 'anyone') return
  request.principal = await authenticate(deps, request.headers)
  if (scope === undefined) throw new Error(`${request.routeOptions.url} has no scope`)
  if (scope !== 'any-key' && !allows(request.principal, scope)) {
    throw new Problem('missing_scope', `This needs the scope ${scope}.`, { extra: { scope } })
  }
}

/** A key in a URL ends up in histories and proxy logs; such a client must notice, even when its header is right. */
function refuseKeyInQuery(request: FastifyRequest): void {
  const query = Object.entries(request.query as Record<string, unknown>)
  const isKey = ([name, value]: [string, unknown]) => (
    KEY_PARAMETERS.has(name.toLowerCase()) || String(value).includes('brm_live_')
  )
  if (!query.some(isKey)) return
  throw new Problem('malformed_request', 'An API key belongs in the Authorization header, never in the URL. Replace it.')
}
