import { checkCommand } from '../../apple/catalogue/check-command.ts'
import { Problem, type Finding } from '../../base/problem.ts'
import type { DeviceRow } from '../enrollments/index.ts'
import type { CommandRequest } from './enqueue.ts'

/** What the check had to say, once the command may be queued. */
export interface Checked {
  warnings: Finding[]
  /** Whether refusals were overridden by `force`; recorded with the command's event. */
  overridden: boolean
}

/**
 * Judges a command against what is known of the device, before anything is queued: otherwise the device answers error 12021
 * ("not a valid request type"), which reads like a fault of the server. Throws not_supported_by_device unless forced.
 */
export function check(wanted: CommandRequest & { force: boolean }, device: DeviceRow, channel: 'device' | 'user'): Checked {
  const findings = checkCommand(wanted.command, {
    platform: device.platform,
    osVersion: device.os_version,
    supervised: device.supervised,
    accessRights: device.access_rights,
    channel,
    userEnrollment: device.device_key_kind === 'enrollment_id',
    sharedIpad: isSharedIpad(device),
  })
  const refusals = findings.filter((finding) => finding.level === 'refusal')
  const [first] = refusals
  if (first && !wanted.force) {
    const errors = refusals.map(({ pointer, code, detail }) => ({ pointer, code, detail }))
    throw new Problem('not_supported_by_device', first.detail, { errors, extra: first.requires === undefined ? {} : { requires: first.requires } })
  }
  return { warnings: findings.map(({ pointer, code, detail }) => ({ pointer, code, detail })), overridden: first !== undefined }
}

/** As the device said it itself since it enrolled: erased, an iPad may come back as the other kind. */
function isSharedIpad({ facts, facts_at, enrolled_at }: DeviceRow): boolean | null {
  const said = facts['IsMultiUser']
  return typeof said === 'boolean' && facts_at && enrolled_at && facts_at >= enrolled_at ? said : null
}
