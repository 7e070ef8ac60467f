import type { DeclarativeManagement } from '../../apple/wire/checkin.ts'
import { EMPTY_SET, encodeItems, encodeTokens } from '../../apple/wire/declarative.ts'
import { mergeStatus, type StatusReport } from '../../apple/wire/status-report.ts'
import type { Deps } from '../../base/deps.ts'
import type { EnrollmentId } from '../../base/ids.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import type { Work } from '../../base/work.ts'
import { findSpeaker, lockEnrolledChannel, tellWebhook } from '../enrollments/index.ts'
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
    const speaker = await findSpeaker(work.tx, certificateSha256, m.channel)
    const enrollment = await lockEnrolledChannel(work, speaker, m.channel)
    const body = await respond(work, enrollment, m.request)
    await tellWebhook(deps, work, certificateSha256, { kind: 'checkin', channel: m.channel, messageType: m.MessageType }, said)
    return { enrollment, ...(body && { answer: { contentType: 'application/json', body } }) }
  })
}

async function respond(work: Work, enrollment: EnrollmentId, request: DeclarativeManagement['request']): Promise<Buffer | undefined> {
  switch (request.endpoint) {
    case 'tokens': return encodeTokens(EMPTY_SET, await store.setSince(work.tx, enrollment))
    case 'declaration-items': return encodeItems(EMPTY_SET)
    case 'declaration': throw new DeviceRefused('no_such_declaration', 404)
    case 'status': return keepStatus(work, enrollment, request.report)
  }
}

async function keepStatus(work: Work, enrollment: EnrollmentId, report: StatusReport): Promise<undefined> {
  const known = report.full ? {} : await store.findItems(work.tx, enrollment)
  const items = JSON.stringify(mergeStatus(known ?? {}, report))
  if (items.length > MAX_STATUS) throw new DeviceRefused('status_too_large')
  await store.saveStatus(work, enrollment, { items, errors: JSON.stringify(report.errors), full: report.full })
}
