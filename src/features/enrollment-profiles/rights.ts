import { checkAccessRights } from '../../apple/wire/mobileconfig.ts'
import { Problem } from '../../base/problem.ts'
import type { Ownership } from './store.ts'

const ERASE = 8

/**
 * What a link grants when nobody says: everything to the company's own devices, everything but erase to personal ones.
 * Rights can be taken away later, but never added, so the preset does not guess what else a company will not need.
 */
const PRESETS: Record<Ownership, number> = { company: 8191, personal: 8191 - ERASE }

/**
 * The rights of a new link. Throws `validation_failed` for a sum that devices refuse, and for a personal link that
 * could erase.
 */
export function rightsFor(ownership: Ownership, asked: number | undefined): number {
  const rights = asked ?? PRESETS[ownership]
  const complaint = checkAccessRights(rights)
  if (complaint !== undefined) throw refused('access_rights', complaint)
  if (ownership === 'personal' && (rights & ERASE) !== 0) {
    throw refused('personal_device', 'a personal device cannot be erased: leave out the right 8')
  }
  return rights
}

function refused(code: string, detail: string): Problem {
  return new Problem('validation_failed', undefined, { errors: [{ pointer: '/access_rights', code, detail }] })
}
