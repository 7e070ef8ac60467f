import type { Deps } from '../../base/deps.ts'
import type { DeviceId } from '../../base/ids.ts'
import type { Work } from '../../base/work.ts'
import { platformOf } from '../enrollments/index.ts'

/** Commands whose answers tell about the device itself, and the key of the answer that holds it. */
const TELLING: Record<string, string> = { DeviceInformation: 'QueryResponses', SecurityInfo: 'SecurityInfo' }

/** The RequestTypes whose answers are worth an errand. */
export const TELLING_TYPES: readonly string[] = Object.keys(TELLING)

const ANSWERS = {
  name: 'inventory_answers',
  text: `select r.request_type, r.fields, r.ended_at, e.device_id from command_results r join enrollments e on e.id = r.enrollment_id
    where r.id = any($1) and r.state = 'acknowledged' and e.channel = 'device' order by r.ended_at, r.id`,
}

// Oldest first, one answer for each device: an UPDATE takes one row for each target.
const LEARN = {
  name: 'inventory_learn',
  text: `update devices d set facts = d.facts || n.facts, facts_at = greatest(d.facts_at, n.at), updated_at = now(),
      name = coalesce(n.columns ->> 'name', d.name), os_version = coalesce(n.columns ->> 'os_version', d.os_version),
      build = coalesce(n.columns ->> 'build', d.build), model = coalesce(n.columns ->> 'model', d.model),
      model_name = coalesce(n.columns ->> 'model_name', d.model_name), supervised = coalesce((n.columns ->> 'supervised')::boolean, d.supervised),
      platform = coalesce(n.columns ->> 'platform', d.platform), serial_number = coalesce(n.columns ->> 'serial_number', d.serial_number)
    from unnest($1::text[], $2::jsonb[], $3::timestamptz[], $4::jsonb[]) as n(id, facts, at, columns)
    where d.id = n.id and (d.facts_at is null or d.facts_at <= n.at)`,
}

interface Learned {
  device: DeviceId
  at: Date
  facts: Record<string, unknown>
}

/**
 * Learns from answers: the newest facts by Apple's names, and the columns that lists show. Runs as an errand, so that an
 * odd answer can never roll back its own acknowledgement; running it twice changes nothing. What a device answers on the
 * channel of a user is how it looks to that user (accounts, settings), so it stays with its command.
 */
export async function learn(deps: Deps, commandIds: string[]): Promise<void> {
  const rows = await deps.db.read.rows<{ request_type: string; fields: Record<string, unknown> | null; ended_at: Date; device_id: DeviceId }>(
    ANSWERS, [commandIds])
  const told = rows.flatMap((row) => {
    const facts = row.fields?.[TELLING[row.request_type] ?? '']
    return typeof facts === 'object' && facts !== null ? [{ device: row.device_id, at: row.ended_at, facts: facts as Record<string, unknown> }] : []
  })
  await deps.work({ kind: 'system' }, async (work) => {
    for (const round of oneOfEach(told)) await keep(work, round)
  })
}

/** Rounds in which no device comes twice; the order of each device's answers stays. */
function oneOfEach(told: Learned[]): Learned[][] {
  const rounds: Learned[][] = []
  const turns = new Map<DeviceId, number>()
  for (const one of told) {
    const turn = turns.get(one.device) ?? 0
    turns.set(one.device, turn + 1)
    ;(rounds[turn] ??= []).push(one)
  }
  // Locked in one order by all processes: ids ascending.
  return rounds.map((round) => round.toSorted((a, b) => (a.device < b.device ? -1 : 1)))
}

async function keep(work: Work, round: Learned[]): Promise<void> {
  await work.tx.rows(LEARN, [
    round.map((one) => one.device), round.map((one) => JSON.stringify(one.facts)), round.map((one) => one.at),
    round.map((one) => JSON.stringify(columnsOf(one.facts))),
  ])
  await work.emitAll(round.map((one) => ({ type: 'device.updated', device: one.device, learned: Object.keys(one.facts) })))
}

/** The answer's values that have a column of their own; null for what it does not say. */
function columnsOf(known: Record<string, unknown>): Record<string, string | boolean | null> {
  const product = text(known['ProductName'])
  return {
    name: text(known['DeviceName']), os_version: text(known['OSVersion']), build: text(known['BuildVersion']), model: product,
    model_name: text(known['ModelName']), supervised: flag(known['IsSupervised']), platform: platformOf(product ?? undefined),
    serial_number: text(known['SerialNumber']),
  }
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value.slice(0, 1_024) : null
}

function flag(value: unknown): boolean | null {
  return typeof value === 'boolean' ? value : null
}
