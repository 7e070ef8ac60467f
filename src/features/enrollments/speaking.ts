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
