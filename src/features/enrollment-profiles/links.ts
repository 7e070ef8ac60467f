import { randomBytes } from 'node:crypto'
import type { Deps } from '../../base/deps.ts'
import { encodeBits, newId } from '../../base/ids.ts'
import { Problem } from '../../base/problem.ts'
import { actorName, type Work } from '../../base/work.ts'
import { voidChallenges } from '../identity/index.ts'
import { checkSeparateCheckin } from './checkin-address.ts'
import { rightsFor } from './rights.ts'
import { hashOf, makeSecrets, sealSecrets } from './secrets.ts'
import * as store from './store.ts'
import type { Link, Ownership } from './store.ts'

/** What an administrator decides about a link; all but the name has a default. */
export interface LinkInput {
  name: string
  /** Made from the name when not given. */
  slug?: string | undefined
  ownership?: Ownership | undefined
  /** A sum of Apple's bits; by ownership when not given. */
  accessRights?: number | undefined
  /** No limit when null or not given. */
  maxUses?: number | null | undefined
  expiresAt?: Date | null | undefined
  removableByUser?: boolean | undefined
  /** The one device, by its UDID, that this link is made for. */
  deviceKey?: string | null | undefined
  /** Check-in messages go to BRAMLEY_CHECKIN_URL. */
  separateCheckin?: boolean | undefined
}

const TRIES = 5

/**
 * Makes a link with fresh secrets. Throws `name_taken` for a slug in use, `validation_failed` for rights that cannot be
 * granted, and for a separate check-in address where none is configured.
 */
export async function createLink(work: Work, deps: Deps, input: LinkInput): Promise<Link> {
  const ownership = input.ownership ?? 'company'
  checkSeparateCheckin(deps.config, input.separateCheckin)
  const accessRights = rightsFor(ownership, input.accessRights)
  const link = await insert(work, deps, { ...input, ownership, accessRights })
  await work.emit({ type: 'enrollment_link.created', link: link.id })
  return link
}

/**
 * Ends a link for phones that are not enrolled yet: no new profile, and no certificate for a profile already
 * downloaded. Enrolled phones stay. Does nothing to a link that has been revoked before.
 */
export async function revokeLink(work: Work, link: Link): Promise<void> {
  if (!(await store.revoke(work.tx, link.id))) return
  await voidChallenges(work, await store.openAttempts(work.tx, link.id))
  await work.emit({ type: 'enrollment_link.revoked', link: link.id })
}

type Decided = LinkInput & { ownership: Ownership; accessRights: number }

/** A slug that was made from the name gives way to one that is taken; a chosen one does not. */
async function insert(work: Work, deps: Deps, input: Decided): Promise<Link> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const slug = input.slug ?? slugOf(input.name, attempt)
    const link = await store.insert(work.tx, { ...draft(deps, input), slug, createdBy: actorName(work.actor) })
    if (link) return link
    if (input.slug !== undefined && (await store.isSlugTaken(work.tx, input.slug))) throw new Problem('name_taken')
  }
  throw new Error('no free slug or code was found')
}

function draft(deps: Deps, input: Decided): Omit<store.NewLink, 'slug' | 'createdBy'> {
  const id = newId('lnk')
  const secrets = makeSecrets()
  return {
    id,
    name: input.name,
    tokenHash: hashOf(deps.vault, { token: secrets.token }),
    codeHash: hashOf(deps.vault, { code: secrets.code }),
    sealedSecrets: sealSecrets(deps.vault, id, secrets),
    ownership: input.ownership,
    accessRights: input.accessRights,
    maxUses: input.maxUses ?? null,
    expiresAt: input.expiresAt ?? null,
    removableByUser: input.removableByUser ?? true,
    deviceKey: input.deviceKey ?? null,
    separateCheckin: input.separateCheckin ?? false,
  }
}

function slugOf(name: string, attempt: number): string {
  const plain = name.normalize('NFKD').toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 54)
  const base = plain.replace(/-+$/, '') || 'link'
  return attempt === 0 ? base : `${base}-${encodeBits(randomBytes(5)).toLowerCase()}`
}
