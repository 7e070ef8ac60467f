import type { FastifyInstance, FastifyReply, FastifyRequest, RawServerBase } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Deps } from './deps.ts'
import { recallAnswer, recordAnswer } from './idempotency.ts'
import type { KeyId } from './ids.ts'
import type { Actor, Work } from './work.ts'

/** What an API key may do; each route names one. `admin` includes all the others but `compat`. */
export const SCOPES = [
  'devices:read', 'devices:write', 'devices:delete', 'actions:run', 'actions:destructive', 'commands:raw', 'secrets:reveal', 'enrollment:read',
  'enrollment:write', 'certificates:read', 'certificates:write', 'events:read', 'simulator:read', 'simulator:write', 'compat', 'admin',
] as const
export type Scope = (typeof SCOPES)[number]

/** Who came in by the admin door. */
export interface Principal {
  id: KeyId
  name: string
  scopes: readonly Scope[]
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The scope a key needs for this route; 'any-key' when every key will do; 'anyone' for the few that need none. */
    scope?: Scope | 'any-key' | 'anyone'
    /** The body is handed over as it came, a Buffer whatever its Content-Type; the route has no body schema then. */
    rawBody?: true
  }
  interface FastifyRequest {
    /** Set by the admin door's gate. */
    principal: Principal | undefined
  }
}

/** The Fastify instance that a feature's api.ts adds its routes to; zod schemas give the types and the OpenAPI document. */
export type ApiApp = FastifyInstance<RawServerBase, IncomingMessage, ServerResponse, FastifyInstance['log'], ZodTypeProvider>

/** The key that made this request. Throws when the gate was not passed, which would be a bug. */
export function principalOf(request: FastifyRequest): Principal {
  if (!request.principal) throw new Error('this route was reached without passing the gate')
  return request.principal
}

/** Whether a key may do what `scope` names. */
export function allows(principal: Principal, scope: Scope): boolean {
  return principal.scopes.includes(scope) || (scope !== 'compat' && principal.scopes.includes('admin'))
}

/**
 * Runs one verb as a unit of work for this request and answers with its result. With an Idempotency-Key the answer is
 * recorded in the same transaction, so that a retry after a lost answer, even a crash, gets the same bytes and no second effect.
 */
export async function change<T>(
  deps: Deps, request: FastifyRequest, reply: FastifyReply, status: number, body: (work: Work) => Promise<T>,
): Promise<FastifyReply> {
  const { id } = principalOf(request)
  return changeAs(deps, { kind: 'key', id }, id, request, reply, status, body)
}

/** `change` for a route that no key opens: `owner` is whose Idempotency-Keys these are. */
export async function changeAs<T>(
  deps: Deps, actor: Actor, owner: string, request: FastifyRequest, reply: FastifyReply, status: number, body: (work: Work) => Promise<T>,
): Promise<FastifyReply> {
  reply.type('application/json; charset=utf-8')
  const answer = await deps.work(actor, async (work) => {
    reply.code(status)
    const recalled = await recallAnswer(deps, work, owner, request)
    if (recalled) return recalled
    const result = await body(work)
    // The verb may have chosen another success status.
    const text = reply.serialize(result)
    const first = { status: reply.statusCode, body: typeof text === 'string' ? text : new TextDecoder().decode(text) }
    await recordAnswer(deps, work, owner, request, first)
    return { ...first, replayed: false }
  })
  if (answer.replayed) reply.header('idempotency-replayed', 'true')
  return reply.code(answer.status).send(answer.body)
}
