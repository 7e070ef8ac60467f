import type { ChannelAddress } from '../../apple/wire/channel.ts'
import type { Deps } from '../../base/deps.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import type { Work } from '../../base/work.ts'
import { revokeAllOf } from '../identity/index.ts'
import { boundDevice, findSpeaker, type Speaker } from './speaker.ts'
import { adoptCertificate } from './store.ts'

/**
 * The first message with a renewed identity makes it the one that speaks, and retires the old one; queue, tokens and
 * history stay, because a renewal is not a new enrollment. Returns whether that happened now. Throws DeviceRefused.
 */
export async function renewIfNew(work: Work, speaker: Speaker): Promise<boolean> {
  const device = boundDevice(speaker)
  if (device.current) return false
  if (speaker.purpose !== 'renewal') throw new DeviceRefused('not_current_certificate')
  if (device.state !== 'enrolled' && device.state !== 'identity_issued') throw new DeviceRefused('not_enrolled')
  await adoptCertificate(work.tx, device.id, speaker.certificateSha256)
  await revokeAllOf(work, device.id, speaker.certificateSha256, 'superseded')
  const sha256 = speaker.certificateSha256.toString('hex')
  await work.emit({ type: 'device.identity_renewed', device: device.deviceId, enrollment: device.id, sha256 })
  return true
}

/** The same as a unit of work of its own, for a poll. Throws DeviceRefused when this certificate may not take over. */
export async function adoptRenewed(deps: Deps, certificateSha256: Buffer, channel: ChannelAddress): Promise<void> {
  await deps.work({ kind: 'device', id: channel.deviceKey }, async (work) => {
    await renewIfNew(work, await findSpeaker(work.tx, certificateSha256, channel))
  })
}
