import type { ChannelAddress } from '../../apple/wire/channel.ts'
import type { EnrollmentId } from '../../base/ids.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import type { Work } from '../../base/work.ts'
import { renewIfNew } from './renew.ts'
import { boundDevice, type Speaker } from './speaker.ts'
import { lock, type Locked } from './store.ts'

const SPEAKING: ReadonlySet<string> = new Set(['identity_issued', 'enrolled', 'pending_approval'])

/**
 * The device channel that speaks, under its lock, once its certificate has said Authenticate and while it has not ended.
 * A held newcomer speaks for its own row only. Throws DeviceRefused.
 */
export async function lockSpeaking(work: Work, speaker: Speaker): Promise<Locked> {
  const locked = await lock(work.tx, boundDevice(speaker).id)
  await renewIfNew(work, speaker, locked)
  if (!SPEAKING.has(locked.state)) throw new DeviceRefused('not_enrolled')
  return locked
}

/**
 * The channel that a message names, device or user, under the locks of both rows; both must be enrolled. Throws
 * DeviceRefused.
 */
export async function lockEnrolledChannel(work: Work, speaker: Speaker, address: ChannelAddress): Promise<EnrollmentId> {
  const device = await lockSpeaking(work, speaker)
  if (device.state !== 'enrolled') throw new DeviceRefused('not_enrolled')
  if (address.channel === 'device') return device.id
  const user = speaker.user && (await lock(work.tx, speaker.user.id))
  if (user?.state !== 'enrolled') throw new DeviceRefused('not_enrolled')
  return user.id
}
