import { DeviceRefused } from '../../base/refusal.ts'
import type { Deps } from '../../base/deps.ts'
import type { Work } from '../../base/work.ts'
import type { Speaker } from './speaker.ts'
import { speakingDevice } from './speaking.ts'

/** No token service is configured, and Apple wants a client error then (Apple: GetToken). */
export async function getToken(_deps: Deps, work: Work, speaker: Speaker): Promise<undefined> {
  await speakingDevice(work, speaker)
  throw new DeviceRefused('no_token_service')
}

/** Saying `Enabled` erases the device; nothing here ever allows that, so the request is refused. */
export async function returnToService(_deps: Deps, work: Work, speaker: Speaker): Promise<undefined> {
  await speakingDevice(work, speaker)
  throw new DeviceRefused('return_to_service_off')
}
