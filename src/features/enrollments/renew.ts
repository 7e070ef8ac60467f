import type { Work } from '../../base/work.ts'
import { revokeAllOf } from '../identity/index.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import type { Speaker } from './speaker.ts'
import { adoptCertificate, type Locked } from './store.ts'

/**
 * The first message with a renewed identity makes it the one that speaks, and retires the old one; queue, tokens and
 * history stay, because a renewal is not a new enrollment. Returns whether that happened now.
 */
export async function renewIfNew(work: Work, speaker: Speaker, locked: Locked): Promise<boolean> {
  if (locked.certificate_sha256?.equals(speaker.certificateSha256)) return false
  if (speaker.purpose !== 'renewal') throw new DeviceRefused('not_current_certificate')
  if (locked.state !== 'enrolled' && locked.state !== 'identity_issued') throw new DeviceRefused('not_enrolled')
  await adoptCertificate(work.tx, locked.id, speaker.certificateSha256)
  await revokeAllOf(work, locked.id, speaker.certificateSha256, 'superseded')
  const sha256 = speaker.certificateSha256.toString('hex')
  await work.emit({ type: 'device.identity_renewed', device: locked.device_id, enrollment: locked.id, sha256 })
  return true
}
