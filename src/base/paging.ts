import { z } from 'zod'
import { Problem } from './problem.ts'
import type { Vault } from './vault.ts'

/** The query of every list: cursor paging only, 1 to 500, 50 when not said. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(500).default(50).describe('Items on this page'),
  cursor: z.string().max(2_000).optional().describe('The next_cursor of the page before'),
}

/** The shape of every list around its items. */
export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({ data: z.array(item), has_more: z.boolean(), next_cursor: z.string().nullable() })
}

/** One page out of `limit + 1` rows that were read after the cursor. */
export function page<R, T>(
  vault: Vault, list: string, rows: R[], limit: number, keyOf: (row: R) => string, shape: (row: R) => T,
): { data: T[]; has_more: boolean; next_cursor: string | null } {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  const more = rows.length > limit && last !== undefined
  return { data: shown.map(shape), has_more: more, next_cursor: more ? writeCursor(vault, list, keyOf(last)) : null }
}

/** `list` names the list with its filters: a cursor opens only the list it was made for. */
export function writeCursor(vault: Vault, list: string, key: string): string {
  const body = Buffer.from(key).toString('base64url')
  return `${body}.${sign(vault, list, body)}`
}

/** The key behind a cursor; throws `bad_cursor` for one that is changed or belongs to another list. */
export function readCursor(vault: Vault, list: string, cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined
  const body = /^([\w-]+)\.[\w-]+$/.exec(cursor)?.[1]
  if (body === undefined || cursor !== `${body}.${sign(vault, list, body)}`) throw new Problem('bad_cursor')
  return Buffer.from(body, 'base64url').toString()
}

function sign(vault: Vault, list: string, body: string): string {
  return vault.fingerprint(`${list} ${body}`, 'cursor').subarray(0, 12).toString('base64url')
}
