import type { FastifyInstance, FastifyRequest } from 'fastify'
import { allows, type Principal } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import { counted } from '../../base/metrics.ts'
import { Problem } from '../../base/problem.ts'
import { hasKeyWith, principalFor } from '../../features/access/index.ts'
import { PlainRefusal } from './speech.ts'

/** The user names of NanoMDM, NanoHUB and MicroMDM: the key alone decides, so each opens the same door. */
const USERS = new Set(['nanomdm', 'nanohub', 'micromdm'])

/**
 * Lets a request in by an API key with the scope `compat`, before its body is read. While there is no such key, nothing is
 * here: as upstream without an API key, which is absent and not open.
 */
export function gate(app: FastifyInstance, deps: Deps): void {
  app.decorateRequest('principal', undefined)
  app.addHook('onRequest', async (request) => {
    const principal = await principalBehind(deps, request)
    if (!principal) throw new PlainRefusal((await hasKeyWith(deps.db.read, 'compat')) ? 401 : 404)
    request.principal = principal
  })
}

async function principalBehind(deps: Deps, request: FastifyRequest): Promise<Principal | undefined> {
  const key = keyFrom(request.headers.authorization ?? '')
  if (key === undefined) return undefined
  try {
    const principal = await principalFor(deps, key)
    return allows(principal, 'compat') ? principal : undefined
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) throw error
    counted.authFailure(error.code)
    return undefined
  }
}

function keyFrom(authorization: string): string | undefined {
  const [, scheme = '', credentials = ''] = /^(bearer|basic) +([\x21-\x7e]+) *$/i.exec(authorization) ?? []
  if (scheme.toLowerCase() !== 'basic') return credentials || undefined
  const text = Buffer.from(credentials, 'base64').toString()
  const colon = text.indexOf(':')
  return colon > 0 && USERS.has(text.slice(0, colon)) ? text.slice(colon + 1) : undefined
}
