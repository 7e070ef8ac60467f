import type { GetBootstrapToken, SetBootstrapToken } from '../../apple/wire/checkin.ts'
import type { EncodableDict } from '../../apple/wire/plist-writer.ts'
import type { Tx } from '../../base/db.ts'
import type { Deps } from '../../base/deps.ts'
import type { DeviceId, EnrollmentId } from '../../base/ids.ts'
import type { Work } from '../../base/work.ts'
import { lockSpeaking } from './speaking.ts'
import type { Speaker } from './speaker.ts'

/** The vault's place of a BootstrapToken. */
function placeOf(id: EnrollmentId): string {
  return `enrollments.sealed_bootstrap_token:${id}`
}

const SET = { name: 'bootstrap_token_set', text: 'update enrollments set sealed_bootstrap_token = $2 where id = $1' }

/** Keeps what the device entrusts, sealed, for this generation; a message without a token asks to forget it (protocol.md 2.5). */
export async function setBootstrapToken(deps: Deps, work: Work, speaker: Speaker, m: SetBootstrapToken): Promise<undefined> {
  await keepBootstrapToken(deps, work, await lockSpeaking(work, speaker), m)
}

/** The same for an enrollment whose row is held. */
export async function keepBootstrapToken(
  deps: Deps, work: Work, { id, device_id }: { id: EnrollmentId; device_id: DeviceId }, m: SetBootstrapToken,
): Promise<void> {
  const sealed = m.BootstrapToken === undefined ? null : deps.vault.seal(m.BootstrapToken, placeOf(id))
  await work.tx.rows(SET, [id, sealed])
  await work.emit({ type: sealed ? 'device.bootstrap_token_set' : 'device.bootstrap_token_removed', device: device_id, enrollment: id })
}

const FIND = { name: 'bootstrap_token_find', text: 'select sealed_bootstrap_token from enrollments where id = $1' }

/**
 * The token of this generation, never one of another: whoever enrolls the hardware anew gets nothing that was entrusted
 * before. Without one the answer is an empty dict, which is no error.
 */
export async function getBootstrapToken(deps: Deps, work: Work, speaker: Speaker, _m: GetBootstrapToken): Promise<EncodableDict> {
  const { id } = await lockSpeaking(work, speaker)
  const sealed = await find(work.tx, id)
  return sealed ? { BootstrapToken: deps.vault.open(sealed, placeOf(id)) } : {}
}

async function find(tx: Tx, id: EnrollmentId): Promise<Buffer | null | undefined> {
  return (await tx.rows<{ sealed_bootstrap_token: Buffer | null }>(FIND, [id]))[0]?.sealed_bootstrap_token
}
