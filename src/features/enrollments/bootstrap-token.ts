import type { GetBootstrapToken, SetBootstrapToken } from '../../apple/wire/checkin.ts'
import type { EncodableDict } from '../../apple/wire/plist-writer.ts'
import type { Tx } from '../../base/db.ts'
import type { Deps } from '../../base/deps.ts'
import type { EventType } from '../../base/events.ts'
import type { DeviceId, EnrollmentId } from '../../base/ids.ts'
import { actorName, type Work } from '../../base/work.ts'
import { speakingDevice } from './speaking.ts'
import type { Speaker } from './speaker.ts'

/** The vault's place of a BootstrapToken. */
function placeOf(id: EnrollmentId): string {
  return `enrollments.sealed_bootstrap_token:${id}`
}

const SET = {
  name: 'bootstrap_token_set',
  text: `with token as (update enrollments set sealed_bootstrap_token = $2 where id = $1)
    select record_event($3, $4, $5::text, jsonb_build_object('device', $5::text, 'enrollment', $1::bigint))`,
}

/** Keeps what the device entrusts, sealed, for this generation; a message without a token asks to forget it (protocol.md 2.5). */
export async function setBootstrapToken(deps: Deps, work: Work, speaker: Speaker, m: SetBootstrapToken): Promise<undefined> {
  const { id, deviceId } = await speakingDevice(work, speaker)
  await keepBootstrapToken(deps, work, { id, deviceId }, m)
}

/** The same for an enrollment whose row is held. */
export async function keepBootstrapToken(
  deps: Deps, work: Work, { id, deviceId }: { id: EnrollmentId; deviceId: DeviceId }, m: SetBootstrapToken,
): Promise<void> {
  const sealed = m.BootstrapToken === undefined ? null : deps.vault.seal(m.BootstrapToken, placeOf(id))
  const event: EventType = sealed ? 'device.bootstrap_token_set' : 'device.bootstrap_token_removed'
  await work.tx.rows(SET, [id, sealed, event, actorName(work.actor), deviceId])
}

const FIND = { name: 'bootstrap_token_find', text: 'select sealed_bootstrap_token from enrollments where id = $1' }

/**
 * The token of this generation, never one of another: whoever enrolls the hardware anew gets nothing that was entrusted
 * before. Without one the answer is an empty dict, which is no error.
 */
export async function getBootstrapToken(deps: Deps, work: Work, speaker: Speaker, _m: GetBootstrapToken): Promise<EncodableDict> {
  const { id } = await speakingDevice(work, speaker)
  const sealed = await find(work.tx, id)
  return sealed ? { BootstrapToken: deps.vault.open(sealed, placeOf(id)) } : {}
}

async function find(tx: Tx, id: EnrollmentId): Promise<Buffer | null | undefined> {
  return (await tx.rows<{ sealed_bootstrap_token: Buffer | null }>(FIND, [id]))[0]?.sealed_bootstrap_token
}
