import type { ChannelAddress } from '../../apple/wire/channel.ts'
import type { EnrollmentId } from '../../base/ids.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import type { Work } from '../../base/work.ts'
import { renewIfNew } from './renew.ts'
import { boundDevice, type Bound, type Speaker } from './speaker.ts'

const SPEAKING: ReadonlySet<string> = new Set(['identity_issued', 'enrolled', 'pending_approval'])

/**
 * The device channel that speaks, once its certificate has said Authenticate and while it has not ended. A held newcomer
 * speaks for its own row only. Throws DeviceRefused.
 */
export async function speakingDevice(work: Work, speaker: Speaker): Promise<Bound> {
  await renewIfNew(work, speaker)
  const device = boundDevice(speaker)
  if (!SPEAKING.has(device.state)) throw new DeviceRefused('not_enrolled')
  return device
}

/** The channel that a message names, device or user; both must be enrolled. Throws DeviceRefused. */
export async function enrolledChannel(work: Work, speaker: Speaker, address: ChannelAddress): Promise<EnrollmentId> {
  const device = await speakingDevice(work, speaker)
  if (device.state !== 'enrolled') throw new DeviceRefused('not_enrolled')
  if (address.channel === 'device') return device.id
  if (speaker.user?.state !== 'enrolled') throw new DeviceRefused('not_enrolled')
  return speaker.user.id
}
