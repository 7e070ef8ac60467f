import type { Deps } from '../../base/deps.ts'
import type { EnrollmentId } from '../../base/ids.ts'

const FIND = { name: 'unlock_token_find', text: 'select sealed_unlock_token from enrollments where id = $1' }

/** The vault's place of an UnlockToken. */
export function unlockTokenPlace(id: EnrollmentId): string {
  return `enrollments.sealed_unlock_token:${id}`
}

/** The UnlockToken of an enrollment, to be put into a ClearPasscode; undefined when the device has sent none. */
export async function openUnlockToken(deps: Pick<Deps, 'db' | 'vault'>, id: EnrollmentId): Promise<Buffer | undefined> {
  const [row] = await deps.db.read.rows<{ sealed_unlock_token: Buffer | null }>(FIND, [id])
  return row?.sealed_unlock_token ? deps.vault.open(row.sealed_unlock_token, unlockTokenPlace(id)) : undefined
}
