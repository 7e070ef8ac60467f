import { randomBytes } from 'node:crypto'
import { SCOPES } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import { encodeBits } from '../../base/ids.ts'
import { Problem } from '../../base/problem.ts'
import type { Work } from '../../base/work.ts'
import { createKey, storeKey, type NewApiKey } from './keys.ts'
import * as store from './store.ts'

const MINUTES = 30
const UNFIT = 'BRAMLEY_BOOTSTRAP_TOKEN_FILE must hold one line of 32 or more printable ASCII characters without spaces'
const PRINTABLE = /^[\x21-\x7e]{32,1024}$/

/**
 * Makes the text of BRAMLEY_BOOTSTRAP_TOKEN_FILE a key with every scope, while there is no key. Returns false when
 * there is one already: the file is ignored then, whatever it holds. Throws an Error with one clear line for a text
 * that cannot be a key. Several processes may start at once; one of them makes the key.
 */
export async function bootstrapKey(deps: Pick<Deps, 'work'>, text: string): Promise<boolean> {
  const token = text.trim()
  return deps.work({ kind: 'system' }, async (work) => {
    await store.lockKeys(work.tx)
    if (await store.hasAnyKey(work.tx)) return false
    if (!PRINTABLE.test(token)) throw new Error(UNFIT)
    await storeKey(work, token, { name: 'bootstrap', scopes: SCOPES })
    return true
  })
}

/** A one-time token `XXXX-XXXX-XXXX` for `POST /setup`, good for 30 minutes; undefined when there is a key already. */
export async function makeSetupToken(deps: Pick<Deps, 'work' | 'vault'>): Promise<string | undefined> {
  const token = encodeBits(randomBytes(8)).replace(/(.{4})(.{4})(.{4})/, '$1-$2-$3')
  return deps.work({ kind: 'system' }, async (work) => {
    if (await store.hasAnyKey(work.tx)) return undefined
    const expiresAt = new Date(work.now.getTime() + MINUTES * 60_000)
    await store.insertSetupToken(work.tx, fingerprint(deps, token), work.now, expiresAt)
    return token
  })
}

/**
 * Turns a setup token into the first key, which has every scope. Throws `already_set_up` once there is a key, and
 * `setup_token_invalid` for a token that is wrong, used or over.
 */
export async function useSetupToken(
  deps: Pick<Deps, 'vault'>, work: Work, token: string, name: string,
): Promise<NewApiKey> {
  await store.lockKeys(work.tx)
  if (await store.hasAnyKey(work.tx)) throw new Problem('already_set_up')
  const used = await store.useSetupToken(work.tx, fingerprint(deps, token), work.now)
  if (!used) throw new Problem('setup_token_invalid')
  return createKey(work, { name, scopes: SCOPES })
}

/** Keyed, because 60 bits could be tried out by somebody who holds a copy of the database. */
function fingerprint({ vault }: Pick<Deps, 'vault'>, token: string): Buffer {
  return vault.fingerprint(asTyped(token), 'setup token')
}

/** People type O for 0 and I or L for 1 (Crockford's base 32 has neither letter), small letters, and no hyphens. */
function asTyped(token: string): string {
  return token.toUpperCase().replace(/[\s-]/g, '').replace(/O/g, '0').replace(/[IL]/g, '1')
}
