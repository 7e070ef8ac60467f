import type { ChannelAddress } from '../../apple/wire/channel.ts'
import { jsonFromPlist, type Json } from '../../apple/wire/json.ts'
import type { Report } from '../../apple/wire/report.ts'
import type { Deps } from '../../base/deps.ts'
import type { CommandRow } from './read.ts'
import { withoutSecrets } from './secrets.ts'
import type { Outcome } from './visit.ts'

const OUTCOMES = { NotNow: 'not_now', Acknowledged: 'acknowledged', Error: 'error', CommandFormatError: 'format_error' } as const

/**
 * What a report says of the command it names, ready to store; undefined for Idle. A report that fits nothing (unknown,
 * another device's, repeated, late) will change nothing: refusing it would make the device send it for ever.
 */
export function outcomeOf(deps: Deps, report: Report, raw: Buffer): Outcome | undefined {
  if (report.status === 'Idle' || report.commandUuid === undefined) return undefined
  const outcome = OUTCOMES[report.status]
  const uuid = report.commandUuid
  if (outcome === 'not_now') return { outcome, uuid }
  return {
    outcome,
    uuid,
    errorChain: report.errorChain.length > 0 ? JSON.stringify(report.errorChain) : undefined,
    fields: JSON.stringify(withoutSecrets(jsonFromPlist(report.fields) as Record<string, Json>)),
    sealedRaw: deps.vault.seal(raw, resultPlace(report.channel, uuid)),
  }
}

/** The vault's place of a raw answer: the channel by Apple's names, because the answer is sealed before its row is known. */
function resultPlace(channel: Pick<ChannelAddress, 'deviceKey' | 'userKey'>, uuid: string): string {
  return `command_results.sealed_raw:${channel.deviceKey}/${channel.userKey}:${uuid}`
}

/** The raw answer of an ended command. */
export function openResult(deps: Deps, row: Pick<CommandRow, 'enrollment_id' | 'device_key' | 'user_key' | 'command_uuid'>, sealed: Buffer): Buffer {
  const place = resultPlace({ deviceKey: row.device_key, userKey: row.user_key }, row.command_uuid)
  try {
    return deps.vault.open(sealed, place)
  } catch {
    // Before migration 0004 answers were sealed for the number of their channel.
    return deps.vault.open(sealed, `command_results.sealed_raw:${row.enrollment_id}:${row.command_uuid}`)
  }
}
