import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { Deps } from './deps.ts'
import { Problem } from './problem.ts'
import type { Work } from './work.ts'

export interface RecordedAnswer {
  status: number
  body: string
}

const LOCK = { name: 'idempotency_lock', text: 'select pg_try_advisory_xact_lock(hashtextextended($1, 1768187251)) as free' }
const FIND = {
  name: 'idempotency_find',
  text: `select request_hash, status, sealed_body from idempotency_keys
    where owner = $1 and key = $2 and created_at > now() - interval '24 hours'`,
}
const RECORD = {
  name: 'idempotency_record',
  text: `insert into idempotency_keys (owner, key, request_hash, status, sealed_body, created_at) values ($1, $2, $3, $4, $5, $6)
    on conflict (owner, key) do update set request_hash = excluded.request_hash, status = excluded.status,
      sealed_body = excluded.sealed_body, created_at = excluded.created_at`,
}

/**
 * The recorded first answer to this request, or undefined when it has none yet. Holds the key for the rest of the unit of
 * work. Throws `request_in_progress` while another request holds it, `idempotency_key_reused` when the body differs.
 */
export async function recallAnswer(
  deps: Deps, work: Work, owner: string, request: FastifyRequest,
): Promise<(RecordedAnswer & { replayed: true }) | undefined> {
  const key = keyOf(request)
  if (key === undefined) return undefined
  const [lock] = await work.tx.rows<{ free: boolean }>(LOCK, [`${owner} ${key}`])
  if (!lock?.free) throw new Problem('request_in_progress', undefined, { retryAfterSeconds: 1 })
  const [row] = await work.tx.rows<{ request_hash: Buffer; status: number; sealed_body: Buffer }>(FIND, [owner, key])
  if (!row) return undefined
  if (!row.request_hash.equals(hashOf(request))) throw new Problem('idempotency_key_reused')
  return { status: row.status, body: deps.vault.open(row.sealed_body, placeOf(owner, key)).toString(), replayed: true }
}

/** Records the first answer, in the transaction of its effect. */
export async function recordAnswer(deps: Deps, work: Work, owner: string, request: FastifyRequest, answer: RecordedAnswer): Promise<void> {
  const key = keyOf(request)
  if (key === undefined) return
  const sealed = deps.vault.seal(Buffer.from(answer.body), placeOf(owner, key))
  await work.tx.rows(RECORD, [owner, key, hashOf(request), answer.status, sealed, work.now])
}

function keyOf(request: FastifyRequest): string | undefined {
  const header = request.headers['idempotency-key']
  if (header === undefined) return undefined
  if (typeof header !== 'string' || header.length === 0 || header.length > 255) {
    throw new Problem('malformed_request', 'Idempotency-Key must have 1 to 255 characters')
  }
  return header
}

/** Method, path with query, and body: what must be equal for a retry to be one. */
function hashOf(request: FastifyRequest): Buffer {
  const body = Buffer.isBuffer(request.body) ? request.body : JSON.stringify(request.body ?? null)
  return createHash('sha256').update(`${request.method} ${request.url}\n`).update(body).digest()
}

function placeOf(owner: string, key: string): string {
  return `idempotency_keys.sealed_body:${owner}:${key}`
}
