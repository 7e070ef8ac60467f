import type { Deps } from '../../base/deps.ts'
import type { DeviceId } from '../../base/ids.ts'
import { platformOf } from '../enrollments/index.ts'

/** Commands whose answers tell about the device itself, and the key of the answer that holds it. */
const TELLING: Record<string, string> = { DeviceInformation: 'QueryResponses', SecurityInfo: 'SecurityInfo' }

/** Whether the answer of this RequestType is worth an errand. */
export function isTelling(requestType: string): boolean {
  return requestType in TELLING
}

const ANSWER = {
  name: 'inventory_answer',
  text: `select r.request_type, r.fields, r.ended_at, e.device_id from command_results r join enrollments e on e.id = r.enrollment_id
    where r.id = $1 and r.state = 'acknowledged' and e.channel = 'device'`,
}

const LEARN = {
  name: 'inventory_learn',
  text: `update devices set facts = facts || $2, facts_at = greatest(facts_at, $3), updated_at = now(),
      name = coalesce($4, name), os_version = coalesce($5, os_version), build = coalesce($6, build), model = coalesce($7, model),
      model_name = coalesce($8, model_name), supervised = coalesce($9, supervised), platform = coalesce($10, platform),
      serial_number = coalesce($11, serial_number)
    where id = $1 and (facts_at is null or facts_at <= $3)`,
}

/**
 * Learns from one answer: the newest facts by Apple's names, and the columns that lists show. Runs as an errand, so that an
 * odd answer can never roll back its own acknowledgement; running it twice changes nothing. What a device answers on the
 * channel of a user is how it looks to that user (accounts, settings), so it stays with its command.
 */
export async function learn(deps: Deps, commandId: string): Promise<void> {
  const [answer] = await deps.db.read.rows<{ request_type: string; fields: Record<string, unknown> | null; ended_at: Date; device_id: DeviceId }>(
    ANSWER, [commandId])
  const facts = answer?.fields?.[TELLING[answer.request_type] ?? '']
  if (!answer || typeof facts !== 'object' || facts === null) return
  const known = facts as Record<string, unknown>
  await deps.work({ kind: 'system' }, async (work) => {
    const product = text(known['ProductName'])
    await work.tx.rows(LEARN, [
      answer.device_id, JSON.stringify(facts), answer.ended_at, text(known['DeviceName']), text(known['OSVersion']), text(known['BuildVersion']), product,
      text(known['ModelName']), flag(known['IsSupervised']), platformOf(product ?? undefined), text(known['SerialNumber']),
    ])
    await work.emit({ type: 'device.updated', device: answer.device_id, learned: Object.keys(known) })
  })
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value.slice(0, 1_024) : null
}

function flag(value: unknown): boolean | null {
  return typeof value === 'boolean' ? value : null
}
