import Fastify, { type FastifyInstance, type InjectOptions, type LightMyRequestResponse } from 'fastify'
import type { Scope } from '../../src/base/api.ts'
import type { Deps } from '../../src/base/deps.ts'
import { adminDoor, speak, type Feature } from '../../src/doors/admin/index.ts'
import { createKey, registerAccess, type NewApiKey } from '../../src/features/access/index.ts'

/** The admin door of one process, mounted as the server mounts it. */
export async function adminApp(deps: Deps, features: Feature[] = [registerAccess]): Promise<FastifyInstance> {
  const app = Fastify({ logger: false, frameworkErrors: speak(deps) })
  await app.register(adminDoor(deps, features), { prefix: '/api/v1' })
  await app.ready()
  return app
}

/** Makes a key with these scopes. */
export async function keyWith(deps: Deps, ...scopes: Scope[]): Promise<NewApiKey> {
  return deps.work({ kind: 'system' }, (work) => createKey(work, { name: `test ${scopes.join(' ')}`, scopes }))
}

/** Asks as the holder of a key; an object as payload travels as JSON. */
export function ask(
  app: FastifyInstance, token: string, method: NonNullable<InjectOptions['method']>, url: string,
  payload?: InjectOptions['payload'], headers: Record<string, string> = {},
): Promise<LightMyRequestResponse> {
  const authorization = `Bearer ${token}`
  const options: InjectOptions = { method, url: `/api/v1${url}`, headers: { authorization, ...headers } }
  return app.inject(payload === undefined ? options : { ...options, payload })
}
