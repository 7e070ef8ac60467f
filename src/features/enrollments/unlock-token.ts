import type { TokenUpdate } from '../../apple/wire/checkin.ts'
import type { Deps } from '../../base/deps.ts'
import type { EnrollmentId } from '../../base/ids.ts'

const FIND = { name: 'unlock_token_find', text: 'select sealed_unlock_token from enrollments where id = $1' }

/** The vault's place of an UnlockToken. */
function unlockTokenPlace(id: EnrollmentId): string {
  return `enrollments.sealed_unlock_token:${id}`
}

/** The UnlockToken of a TokenUpdate, sealed for its enrollment; null when it has none, or comes from a user: Apple gives users none. */
export function sealUnlockToken({ vault }: Pick<Deps, 'vault'>, m: TokenUpdate, id: EnrollmentId): Buffer | null {
  return m.UnlockToken === undefined || m.channel.channel === 'user' ? null : vault.seal(m.UnlockToken, unlockTokenPlace(id))
}

/** The UnlockToken of an enrollment, to be put into a ClearPasscode; undefined when the device has sent none. */
export async function openUnlockToken(deps: Pick<Deps, 'db' | 'vault'>, id: EnrollmentId): Promise<Buffer | undefined> {
  const [row] = await deps.db.read.rows<{ sealed_unlock_token: Buffer | null }>(FIND, [id])
  return row?.sealed_unlock_token ? deps.vault.open(row.sealed_unlock_token, unlockTokenPlace(id)) : undefined
}
