import type { PlistDict } from '../../apple/wire/plist.ts'
import type { Deps } from '../../base/deps.ts'
import { Problem } from '../../base/problem.ts'
import { openUnlockToken } from '../enrollments/index.ts'
import type { DeviceRow } from '../enrollments/index.ts'

/** The command as `check` shall see it: whether the device can do it at all comes before whether it gave us an UnlockToken. */
export function asIfTokenWereThere(command: PlistDict): PlistDict {
  return lacksToken(command) ? { ...command, UnlockToken: Buffer.alloc(0) } : command
}

/**
 * A ClearPasscode without its UnlockToken gets the one that the device entrusted to us: nobody else has it, and nobody needs
 * to see it. Other commands come back as they are. Throws `validation_failed` when none was ever sent.
 */
export async function withUnlockToken(deps: Deps, device: DeviceRow, command: PlistDict): Promise<PlistDict> {
  if (!lacksToken(command)) return command
  const token = await openUnlockToken(deps, device.enrollment_id)
  if (token) return { ...command, UnlockToken: token }
  throw new Problem('validation_failed', 'This device has sent no UnlockToken: it needs the right to lock and remove passcodes, and a passcode.', {
    errors: [{ pointer: '/params/UnlockToken', code: 'missing_key', detail: 'none is stored for this device' }],
  })
}

function lacksToken(command: PlistDict): boolean {
  return command['RequestType'] === 'ClearPasscode' && command['UnlockToken'] === undefined
}
