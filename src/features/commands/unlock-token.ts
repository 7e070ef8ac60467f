import type { PlistDict } from '../../apple/wire/plist.ts'
import type { Deps } from '../../base/deps.ts'
import { Problem } from '../../base/problem.ts'
import { openUnlockToken } from '../enrollments/index.ts'
import type { DeviceRow } from '../enrollments/index.ts'

/**
 * A ClearPasscode without its UnlockToken gets the one that the device entrusted to us: nobody else has it, and nobody needs
 * to see it. Other commands come back as they are. Throws `validation_failed` when none was ever sent.
 */
export async function withUnlockToken(deps: Deps, device: DeviceRow, command: PlistDict): Promise<PlistDict> {
  if (command['RequestType'] !== 'ClearPasscode' || command['UnlockToken'] !== undefined) return command
  const token = await openUnlockToken(deps, device.enrollment_id)
  if (token) return { ...command, UnlockToken: token }
  throw new Problem('validation_failed', 'This device has sent no UnlockToken: it needs the right to lock and remove passcodes, and a passcode.', {
    errors: [{ pointer: '/params/UnlockToken', code: 'missing_key', detail: 'none is stored for this device' }],
  })
}
