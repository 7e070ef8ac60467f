import type { Tx } from '../../base/db.ts'
import type { Deps } from '../../base/deps.ts'
import { Problem } from '../../base/problem.ts'
import { guessing } from '../../base/throttle.ts'
import { hashOf, readPresented } from './secrets.ts'
import * as store from './store.ts'
import type { Link } from './store.ts'

/** `active`, or why a link opens no more. */
export type LinkState = 'active' | 'used_up' | 'expired' | 'revoked'

const CODES = { purpose: 'codes', failures: 10, windowSeconds: 600 }

const WHY: Record<Exclude<LinkState, 'active'>, string> = {
  used_up: 'This enrollment link has been used as often as it may be.',
  expired: 'This enrollment link has expired.',
  revoked: 'This enrollment link has been revoked.',
}

export function stateOf(link: Link): LinkState {
  if (link.revokedAt) return 'revoked'
  if (link.expired) return 'expired'
  return link.maxUses !== null && link.uses >= link.maxUses ? 'used_up' : 'active'
}

/**
 * Runs `enter` with the link that a token or typed code opens. Throws `link_gone` when none does, with the reason only
 * for who holds the 128-bit token, and `rate_limited` after ten wrong tries of one address in ten minutes. Only wrong
 * tries count.
 */
export async function withLink<T>(
  deps: Deps, text: string, remoteAddress: string, enter: (link: Link) => Promise<T>,
): Promise<T> {
  const presented = readPresented(text)
  if (presented && 'token' in presented) {
    // Nobody guesses 128 bits. So whoever comes with a true token is let in, also from an address where others guess.
    const link = await store.findByToken(deps.db.read, hashOf(deps.vault, presented))
    if (link) return enter(checkActive(link))
  }
  const byCode = presented && 'code' in presented ? hashOf(deps.vault, presented) : undefined
  return guessing(deps.db.read, CODES, remoteAddress, async () => enter(await findByCode(deps.db.read, byCode)), isGone)
}

/** The Problem for a link that was there a moment ago, when its last use went to somebody else. */
export function gone(text: string, state: Exclude<LinkState, 'active'>): Problem {
  const presented = readPresented(text)
  return new Problem('link_gone', presented && 'token' in presented ? WHY[state] : undefined)
}

function checkActive(link: Link): Link {
  const state = stateOf(link)
  if (state !== 'active') throw new Problem('link_gone', WHY[state])
  return link
}

/** One refusal for unknown, used up, expired and revoked: the answer never tells whether a code once existed. */
async function findByCode(tx: Tx, hash: Buffer | undefined): Promise<Link> {
  const link = hash && (await store.findByCode(tx, hash))
  if (!link || link.codeExpired || stateOf(link) !== 'active') throw new Problem('link_gone')
  return link
}

function isGone(error: unknown): boolean {
  return error instanceof Problem && error.code === 'link_gone'
}
