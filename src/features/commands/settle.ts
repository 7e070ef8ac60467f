import { jsonFromPlist, type Json } from '../../apple/wire/json.ts'
import type { Report } from '../../apple/wire/report.ts'
import type { Deps } from '../../base/deps.ts'
import type { DeviceId, EnrollmentId } from '../../base/ids.ts'
import type { Work } from '../../base/work.ts'
import { mayKeep, NOT_KEPT } from './quota.ts'
import { withoutSecrets } from './secrets.ts'
import * as store from './store.ts'

const ENDS = { Acknowledged: 'acknowledged', Error: 'error', CommandFormatError: 'format_error' } as const

/**
 * Applies what the device reports to the open command it names, in this channel only. A report that fits nothing (unknown,
 * another device's, repeated, late) changes nothing and returns why: refusing it would make the device send it for ever.
 */
export async function settle(
  deps: Deps, work: Work, enrollment: EnrollmentId, device: DeviceId, report: Report, raw: Buffer,
): Promise<string | undefined> {
  if (report.status === 'Idle' || report.commandUuid === undefined) return undefined
  if (report.status === 'NotNow') return postpone(work, enrollment, device, report.commandUuid)
  const state = ENDS[report.status]
  const isKept = await mayKeep(work, enrollment, raw.length)
  const ended = await store.endByUuid(work, enrollment, report.commandUuid, {
    state,
    by: 'device',
    errorChain: report.errorChain.length > 0 ? report.errorChain : undefined,
    ...(isKept ? {
      fields: withoutSecrets(jsonFromPlist(report.fields) as Record<string, Json>),
      sealedRaw: deps.vault.seal(raw, resultPlace(enrollment, report.commandUuid)),
    } : { reason: NOT_KEPT }),
  })
  if (!ended) return 'no_open_command'
  if (!isKept) deps.log.warn({ door: 'device', device, command: ended.id, reason: 'quota' }, 'answer_not_kept')
  const facts = { device, command: ended.id, request_type: ended.request_type }
  await work.emit(state === 'acknowledged' ? { type: 'command.acknowledged', ...facts } : { type: 'command.failed', ...facts, state })
  return undefined
}

/** The vault's place of a raw answer. */
export function resultPlace(enrollment: EnrollmentId, uuid: string): string {
  return `command_results.sealed_raw:${enrollment}:${uuid}`
}

async function postpone(work: Work, enrollment: EnrollmentId, device: DeviceId, uuid: string): Promise<string | undefined> {
  const postponed = await store.postpone(work, enrollment, uuid)
  if (!postponed) return 'no_open_command'
  await work.emit({ type: 'command.not_now', device, command: postponed.id, count: postponed.count })
  return undefined
}
