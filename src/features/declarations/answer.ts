import type { DeclarativeManagement } from '../../apple/wire/checkin.ts'
import { EMPTY_SET, encodeItems, encodeTokens } from '../../apple/wire/declarative.ts'
import { mergeStatus, type JsonObject, type StatusReport } from '../../apple/wire/status-report.ts'
import type { Deps } from '../../base/deps.ts'
import type { EnrollmentId } from '../../base/ids.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import type { Work } from '../../base/work.ts'
import { enrolledChannel, findSpeaker, tellWebhook, type Speaker } from '../enrollments/index.ts'
import type { Said } from '../webhook/index.ts'
import * as store from './store.ts'

/** JSON to answer with, or nothing; and whose channel it was. */
export interface DeclarativeAnswer {
  enrollment: EnrollmentId
  answer?: { contentType: string; body: Buffer }
}

// What merging may add up to; a full report, which begins anew, is bounded by its own length.
const MAX_STATUS = 4 * 1024 * 1024

/**
 * One DeclarativeManagement message of a device whose identity was verified, as one unit of work. Throws DeviceRefused (404
 * for a declaration, because none is in the empty set: the device then drops its copy); then nothing is stored.
 */
export async function answerDeclarative(deps: Deps, certificateSha256: Buffer, m: DeclarativeManagement, said: Said): Promise<DeclarativeAnswer> {
  return deps.work({ kind: 'device', id: m.channel.deviceKey }, async (work) => {
    const speaker = await findSpeaker(work.tx, certificateSha256, m.channel, { declared: mergesStatus(m.request) })
    const enrollment = await enrolledChannel(work, speaker, m.channel)
    const body = await respond(work, enrollment, speaker, m.request)
    await tellWebhook(deps, work, m, { certificateSha256, said })
    return { enrollment, ...(body && { answer: { contentType: 'application/json', body } }) }
  })
}

/** A full report begins anew; every other adds to what is known. */
function mergesStatus(request: DeclarativeManagement['request']): boolean {
  return request.endpoint === 'status' && !request.report.full
}

async function respond(
  work: Work, enrollment: EnrollmentId, speaker: Speaker, request: DeclarativeManagement['request'],
): Promise<Buffer | undefined> {
  switch (request.endpoint) {
    case 'tokens': return encodeTokens(EMPTY_SET, speaker.since)
    case 'declaration-items': return encodeItems(EMPTY_SET)
    case 'declaration': throw new DeviceRefused('no_such_declaration', 404)
    case 'status': return keepStatus(work, enrollment, speaker.declared as JsonObject | null, request.report)
  }
}

async function keepStatus(work: Work, enrollment: EnrollmentId, known: JsonObject | null, report: StatusReport): Promise<undefined> {
  const items = JSON.stringify(mergeStatus(known ?? {}, report))
  if (items.length > MAX_STATUS) throw new DeviceRefused('status_too_large')
  await store.saveStatus(work, enrollment, { items, errors: JSON.stringify(report.errors), full: report.full })
}
