import type { Config } from '../../base/config.ts'
import type { Tx } from '../../base/db.ts'
import type { Deps } from '../../base/deps.ts'
import { Problem } from '../../base/problem.ts'
import type { Link } from './store.ts'

/**
 * The CheckInURL for a profile of this link; undefined when check-in messages go to the ServerURL. A device keeps it for ever, so a link that
 * asks for one never gets a profile without. Throws `checkin_unavailable`.
 */
export function checkinUrlOf({ checkinUrl }: Pick<Config, 'checkinUrl'>, link: Pick<Link, 'separateCheckin'>): string | undefined {
  if (!link.separateCheckin) return undefined
  if (!checkinUrl) throw new Problem('checkin_unavailable')
  return new URL('/mdm/checkin', checkinUrl).href
}

/** Throws `validation_failed` for a link that nobody could deliver. */
export function checkSeparateCheckin({ checkinUrl }: Pick<Config, 'checkinUrl'>, asked: boolean | undefined): void {
  if (!asked || checkinUrl) return
  const detail = 'no check-in address is configured: set BRAMLEY_CHECKIN_URL, and start a process with BRAMLEY_DOORS=checkin there'
  throw new Problem('validation_failed', undefined, { errors: [{ pointer: '/separate_checkin', code: 'no_checkin_url', detail }] })
}

const KEY = 'checkin_tls_root'
const PUBLISH = {
  name: 'checkin_root_publish',
  text: `insert into settings (key, value) values ($1, $2) on conflict (key) do update set value = excluded.value, updated_at = now()`,
}
const WITHDRAW = { name: 'checkin_root_withdraw', text: 'delete from settings where key = $1' }
const FIND = { name: 'checkin_root_find', text: 'select value from settings where key = $1' }

/**
 * A check-in process tells the others, which make the profiles, by which root of its own (DER) phones will know it; or that they need none.
 * Any other process says nothing.
 */
export async function publishCheckinRoot({ config, db }: Pick<Deps, 'config' | 'db'>, root: Buffer | undefined): Promise<void> {
  if (config.doors !== 'checkin') return
  if (root) await db.read.rows(PUBLISH, [KEY, JSON.stringify(root.toString('base64'))])
  else await db.read.rows(WITHDRAW, [KEY])
}

/** These roots and, when it is another one, the root by which phones will know the check-in process. */
export async function withCheckinRoot(tx: Tx, roots: readonly Buffer[]): Promise<readonly Buffer[]> {
  const [row] = await tx.rows<{ value: string }>(FIND, [KEY])
  const root = row && Buffer.from(row.value, 'base64')
  return root && !roots.some((known) => known.equals(root)) ? [...roots, root] : roots
}
