import type { UserAuthenticate } from '../../apple/wire/checkin.ts'
import type { EncodableDict } from '../../apple/wire/plist-writer.ts'
import type { Deps } from '../../base/deps.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import type { Work } from '../../base/work.ts'
import type { Speaker } from './speaker.ts'
import { speakingDevice } from './speaking.ts'

/**
 * A network user logs in at a Mac. Unless they are accepted: 410, and the Mac asks again at the next login (Apple:
 * UserAuthenticate). Accepted, they are managed without a password: an empty challenge, then an empty answer to whatever it is
 * answered with. A held newcomer gets nothing, and a stranger is refused like everywhere.
 */
export async function userAuthenticate(deps: Deps, work: Work, speaker: Speaker, m: UserAuthenticate): Promise<EncodableDict | undefined> {
  const { state } = await speakingDevice(work, speaker)
  if (deps.config.networkUsers === 'decline' || state !== 'enrolled') throw new DeviceRefused('user_declined', 410)
  return m.DigestResponse === undefined ? { DigestChallenge: '' } : undefined
}
