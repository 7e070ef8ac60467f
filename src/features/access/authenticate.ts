import type { IncomingHttpHeaders } from 'node:http'
import type { Principal } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import { Problem } from '../../base/problem.ts'
import { hashOf } from './keys.ts'
import * as store from './store.ts'

/**
 * Who sent these headers: `Authorization: Bearer <key>`, or Basic with the key as user name and an empty password.
 * Nothing is remembered between requests, so a revoked key is refused at once by every process. Throws
 * `unauthenticated` or `key_expired`.
 */
export async function authenticate(deps: Pick<Deps, 'db'>, headers: IncomingHttpHeaders): Promise<Principal> {
  const key = keyFrom(headers.authorization ?? '')
  if (key === undefined) throw new Problem('unauthenticated')
  return principalFor(deps, key)
}

/**
 * Who holds this key. Throws `unauthenticated` for one that is unknown or revoked, `key_expired` for one that is over.
 */
export async function principalFor(deps: Pick<Deps, 'db'>, key: string): Promise<Principal> {
  const found = await store.findByHash(deps.db.read, hashOf(key))
  if (!found || found.revoked) throw new Problem('unauthenticated')
  if (found.expired) throw new Problem('key_expired')
  if (found.stale) await store.touch(deps.db.read, found.id)
  return { id: found.id, name: found.name, scopes: found.scopes }
}

function keyFrom(authorization: string): string | undefined {
  const [, scheme = '', credentials = ''] = /^(bearer|basic) +([\x21-\x7e]+) *$/i.exec(authorization) ?? []
  if (scheme.toLowerCase() === 'bearer') return credentials
  if (scheme.toLowerCase() !== 'basic') return undefined
  // Only the last colon separates: a key that an operator chose may hold others.
  const text = Buffer.from(credentials, 'base64').toString()
  return text.endsWith(':') && text.length > 1 ? text.slice(0, -1) : undefined
}
