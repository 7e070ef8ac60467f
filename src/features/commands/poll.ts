import type { Report } from '../../apple/wire/report.ts'
import type { Deps } from '../../base/deps.ts'
import type { DeviceId, EnrollmentId } from '../../base/ids.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import type { Work } from '../../base/work.ts'
import { boundDevice, findSpeaker, lock, renewIfNew, tellWebhook, type Locked, type Speaker } from '../enrollments/index.ts'
import { visited, wakeAt } from '../push/index.ts'
import type { Said } from '../webhook/index.ts'
import { settle } from './settle.ts'
import * as store from './store.ts'
import { glance } from './visit.ts'

/** The answer to a poll: the next command's bytes, or nothing; and who was here, for the log line. */
export interface PollAnswer {
  enrollment: EnrollmentId
  command?: { id: string; requestType: string; body: Buffer }
  /** Why a report was not applied, when it was not. */
  ignored?: string
}

/**
 * One visit of a device on its command channel: its report is stored and the next command chosen in one transaction that
 * holds the enrollment row. Throws DeviceRefused; then nothing is stored.
 */
export async function poll(deps: Deps, certificateSha256: Buffer, report: Report, said: Said): Promise<PollAnswer> {
  // A quiet poll writes nothing, unless somebody wants to be told of it.
  if (report.status === 'Idle' && report.channel.channel === 'device' && !deps.config.webhook) {
    const seen = await glance(deps.db, certificateSha256, report.channel.deviceKey)
    if (seen?.quiet) return { enrollment: seen.enrollment }
  }
  return deps.work({ kind: 'device', id: report.channel.deviceKey }, async (work) => {
    const answer = await converse(deps, work, certificateSha256, report, said.raw)
    await tellWebhook(deps, work, certificateSha256, { kind: 'report', ...report }, said)
    return answer
  })
}

async function converse(deps: Deps, work: Work, certificateSha256: Buffer, report: Report, raw: Buffer): Promise<PollAnswer> {
  const speaker = await findSpeaker(work.tx, certificateSha256, report.channel)
  const device = boundDevice(speaker)
  const deviceRow = await lock(work.tx, device.id)
  await renewIfNew(work, speaker, deviceRow)
  const channel = await openChannel(work, deviceRow, speaker, report)
  // Held newcomers, devices between Authenticate and TokenUpdate, and users we have not met: nothing to say yet.
  if (!channel) return { enrollment: device.id }
  const ignored = await settle(deps, work, channel, device.deviceId, report, raw)
  const command = await handOut(deps, work, channel, device.deviceId, report.status)
  // A report that fitted nothing tells nothing about the visit: the wish for one stays as it is.
  if (!command && ignored === undefined) await sayGoodbye(work, channel)
  return { enrollment: channel, ...(command && { command }), ...(ignored !== undefined && { ignored }) }
}

/** The channel that speaks, when commands may pass on it. Throws DeviceRefused when the enrollment has ended. */
async function openChannel(work: Work, device: Locked, speaker: Speaker, report: Report): Promise<EnrollmentId | undefined> {
  if (device.state === 'pending_approval' || device.state === 'identity_issued') return undefined
  if (device.state !== 'enrolled') throw new DeviceRefused('not_enrolled')
  if (report.channel.channel === 'device') return device.id
  if (speaker.user?.state !== 'enrolled') return undefined
  return (await lock(work.tx, speaker.user.id)).id
}

async function handOut(
  deps: Deps, work: Work, enrollment: EnrollmentId, device: DeviceId, status: Report['status'],
): Promise<PollAnswer['command']> {
  // A conversation begins with Idle.
  if (status === 'Idle') await store.release(work.tx, enrollment)
  await expire(work, enrollment, device)
  const next = await store.deliverNext(work, enrollment)
  if (!next) return undefined
  if (next.deliveries === 1) await work.emit({ type: 'command.delivered', device, command: next.id })
  return { id: next.id, requestType: next.request_type, body: deps.vault.open(next.sealed_body, store.bodyPlace(next.body_id)) }
}

async function expire(work: Work, enrollment: EnrollmentId, device: DeviceId): Promise<void> {
  for (const ended of await store.endExpired(work, enrollment, { state: 'expired', by: 'system', reason: 'its time was over' })) {
    await work.emit({ type: 'command.expired', device, command: ended.id })
  }
}

const PATIENCE_MINUTES = [15, 60, 360, 1_440] // security-guide 32: 15 min, 1 h, 6 h, then daily

/**
 * The conversation ends. A device that said NotNow comes back by itself only if that was its last word, and not always then:
 * so what is left gets a push later. With nothing left the wish for a visit is fulfilled.
 */
async function sayGoodbye(work: Work, enrollment: EnrollmentId): Promise<void> {
  const left = await store.waiting(work, enrollment)
  if (left.count === 0) return visited(work, enrollment)
  const minutes = PATIENCE_MINUTES[Math.min(left.not_now_count, PATIENCE_MINUTES.length) - 1] ?? PATIENCE_MINUTES[0]
  const later = new Date(work.now.getTime() + (minutes ?? 15) * 60_000)
  await wakeAt(work, enrollment, left.held === 0 && left.not_before ? left.not_before : later)
}
