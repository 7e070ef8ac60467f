import type { Deps } from '../../base/deps.ts'
import type { AttemptId } from '../../base/ids.ts'
import { Problem } from '../../base/problem.ts'
import type { Work } from '../../base/work.ts'
import { mintRenewalChallenge, type RenewalChallenge } from '../identity/index.ts'
import type { DeviceRow } from './devices.ts'
import { lock } from './store.ts'

/**
 * Lets a device change to a new identity of our CA and stay who it is: queue, tokens and history are kept, whoever issued the identity it
 * has. The challenge belongs into the SCEP payload of a newer version of its enrollment profile (protocol.md 4.1, Updating). Throws
 * `device_unenrolled`.
 */
export async function openRenewal(work: Work, deps: Pick<Deps, 'vault'>, device: DeviceRow): Promise<RenewalChallenge> {
  const enrollment = await lock(work.tx, device.enrollment_id)
  if (enrollment.state !== 'enrolled') throw new Problem('device_unenrolled')
  const attemptId = enrollment.attempt_id as AttemptId | null
  const made = await mintRenewalChallenge(work, deps.vault, { enrollmentId: enrollment.id, attemptId, deviceKey: device.device_key })
  await work.emit({ type: 'device.renewal_opened', device: device.id, enrollment: enrollment.id })
  return made
}
