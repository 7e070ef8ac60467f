import type { Report } from '../../apple/wire/report.ts'
import type { Deps } from '../../base/deps.ts'
import type { EnrollmentId } from '../../base/ids.ts'
import { NUDGE } from '../../base/jobs.ts'
import { counted } from '../../base/metrics.ts'
import { nudge } from '../../base/nudge.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import { adoptRenewed } from '../enrollments/index.ts'
import { webhookRow, type Said } from '../webhook/index.ts'
import { outcomeOf } from './settle.ts'
import { bodyPlace } from './store.ts'
import { glance, visit, type Outcome, type Visit, type Visitor } from './visit.ts'

/** The answer to a poll: the next command's bytes, or nothing; and who was here, for the log line. */
export interface PollAnswer {
  enrollment: EnrollmentId
  command?: { id: string; requestType: string; body: Buffer }
  /** Why a report was not applied, when it was not. */
  ignored?: string
}

/**
 * One visit of a device on its command channel: its report is stored and the next command chosen in one transaction that
 * holds the enrollment row. `telling` are the RequestTypes whose answers somebody wants to learn from. Throws DeviceRefused;
 * then nothing is stored.
 */
export async function poll(deps: Deps, certificateSha256: Buffer, report: Report, said: Said, telling: readonly string[]): Promise<PollAnswer> {
  // A quiet poll writes nothing, unless somebody wants to be told of it.
  if (report.status === 'Idle' && report.channel.channel === 'device' && !deps.config.webhook) {
    const seen = await glance(deps.db, certificateSha256, report.channel.deviceKey)
    if (seen?.quiet) return { enrollment: seen.enrollment }
  }
  const outcome = outcomeOf(deps, report, said.raw)
  const event = webhookRow(deps, { ...said, message: { kind: 'report', ...report }, at: deps.clock() })
  const visited = await visitAsCurrent(deps, { certificateSha256, channel: report.channel, outcome, telling, event })
  if (visited.refusal !== null || visited.enrollment_id === null) throw new DeviceRefused(visited.refusal ?? 'not_enrolled')
  tell(deps, visited, outcome, report.channel.deviceKey)
  return { enrollment: visited.enrollment_id, ...handedOut(deps, visited), ...(visited.ignored === true && { ignored: 'no_open_command' }) }
}

/** A renewed identity speaks from its first message on; that costs this one visit a unit of work more. */
async function visitAsCurrent(deps: Deps, visitor: Visitor): Promise<Visit> {
  const first = await visit(deps.db, visitor)
  if (first.refusal !== 'not_current_certificate') return first
  await adoptRenewed(deps, visitor.certificateSha256, visitor.channel)
  return visit(deps.db, visitor)
}

function tell(deps: Deps, visited: Visit, outcome: Outcome | undefined, device: string): void {
  if (visited.not_kept === true) deps.log.warn({ door: 'device', device, command: visited.ended_id, reason: 'quota' }, 'answer_not_kept')
  if (outcome && visited.ended_type !== null) counted.command(visited.ended_type, outcome.outcome)
  if (visited.left_errand === true) nudge(deps.db, NUDGE)
}

function handedOut(deps: Deps, visited: Visit): Pick<PollAnswer, 'command'> {
  if (visited.command_id === null || visited.request_type === null) return {}
  const body = deps.vault.open(visited.sealed_body, bodyPlace(visited.body_id))
  return { command: { id: visited.command_id, requestType: visited.request_type, body } }
}
