import { z } from 'zod'
import { pushesBetween, type PushFact } from '../push/index.ts'
import type { Tx } from '../../base/db.ts'
import type { CommandRow } from './read.ts'

export const COMMAND_STATES = [
  'queued', 'push_accepted', 'push_failed', 'delivered', 'not_now', 'acknowledged', 'error', 'format_error', 'cancelled', 'expired', 'superseded',
] as const
type ShownState = (typeof COMMAND_STATES)[number]

const timelineEntry = z.object({
  state: z.enum(COMMAND_STATES),
  at: z.string(),
  by: z.string().optional(),
  apns_id: z.string().nullable().optional(),
  reason: z.string().nullable().optional(),
  count: z.int().optional(),
})

const errorItem = z.object({
  error_code: z.number().nullable(),
  error_domain: z.string().nullable(),
  localized_description: z.string().nullable(),
  us_english_description: z.string().nullable(),
})

const summary = {
  id: z.string(),
  device: z.string(),
  user: z.string().nullable().describe('The user whose channel it is for; null for the device itself'),
  type: z.string().describe("Apple's RequestType"),
  command_uuid: z.string(),
  state: z.enum(COMMAND_STATES),
  state_detail: z.string().nullable(),
  queued_at: z.string(),
  next_push_at: z.string().nullable(),
  expires_at: z.string().nullable(),
  ended_at: z.string().nullable(),
  can_cancel: z.boolean(),
  error_chain: z.array(errorItem).nullable(),
}

export const commandSummary = z.object(summary).meta({ id: 'CommandSummary' })
export const commandDetail = z.object({
  ...summary,
  timeline: z.array(timelineEntry),
  result: z.record(z.string(), z.unknown()).nullable().describe("The device's answer by Apple's key names; secrets are left out"),
}).meta({ id: 'Command' })
const warning = z.object({ pointer: z.string(), code: z.string(), detail: z.string() })
export const queuedCommand = z.object({
  ...commandDetail.shape,
  deduplicated: z.boolean().describe('True when an undelivered command that asks the same was there already'),
  warnings: z.array(warning).describe('What the check against Apple\'s catalogue had to say'),
}).meta({ id: 'QueuedCommand' })

/** A command as lists show it. */
export function shapeSummary(row: CommandRow): z.output<typeof commandSummary> {
  const state = shownState(row)
  return {
    id: row.id,
    device: row.device_id,
    user: row.user_key === '' ? null : row.user_key,
    type: row.request_type,
    command_uuid: row.command_uuid,
    state,
    state_detail: detailOf(row, state),
    queued_at: row.queued_at.toISOString(),
    next_push_at: row.next_push_at?.toISOString() ?? null,
    expires_at: row.expires_at?.toISOString() ?? null,
    ended_at: row.ended_at?.toISOString() ?? null,
    can_cancel: row.state === 'queued' || row.state === 'not_now',
    error_chain: errorChainOf(row.error_chain),
  }
}

/** A command with its timeline and its answer. */
export async function shapeDetail(tx: Tx, row: CommandRow): Promise<z.output<typeof commandDetail>> {
  const pushes = await pushesBetween(tx, row.enrollment_id, row.queued_at, row.ended_at ?? row.delivered_at)
  return { ...shapeSummary(row), timeline: timelineOf(row, pushes), result: (row.fields as Record<string, unknown> | null) ?? null }
}

/** The push states are facts about the wake, shown while the device has not come. */
function shownState(row: CommandRow): ShownState {
  if (row.state !== 'queued' || row.push_outcome === null) return row.state
  return row.push_outcome === 'accepted' ? 'push_accepted' : 'push_failed'
}

const DETAILS: Partial<Record<ShownState, string>> = {
  queued: 'It waits for the device to come.',
  push_accepted: 'Apple took the wake-up. That is no proof that the device got it.',
  delivered: 'The device fetched it; its answer is still to come.',
  not_now: 'The device cannot do it now, most often because it is locked. It is offered again when the device comes back.',
  format_error: 'The device could not understand the command.',
}

function detailOf(row: CommandRow, state: ShownState): string | null {
  if (row.reason !== null) return row.reason
  if (state === 'push_failed') return `Apple did not take the wake-up: ${row.push_reason ?? 'no reason given'}.`
  return DETAILS[state] ?? null
}

function timelineOf(row: CommandRow, pushes: PushFact[]): z.output<typeof commandDetail>['timeline'] {
  const entries: z.output<typeof commandDetail>['timeline'] = [{ state: 'queued', at: row.queued_at.toISOString(), by: row.queued_by }]
  for (const push of pushes) {
    const accepted = push.outcome === 'accepted'
    entries.push({ state: accepted ? 'push_accepted' : 'push_failed', at: push.at.toISOString(), ...(accepted ? { apns_id: push.apns_id } : { reason: push.reason }) })
  }
  if (row.delivered_at) entries.push({ state: 'delivered', at: row.delivered_at.toISOString(), count: row.deliveries })
  if (row.not_now_at) entries.push({ state: 'not_now', at: row.not_now_at.toISOString(), count: row.not_now_count })
  if (row.ended_at) entries.push({ state: row.state, at: row.ended_at.toISOString(), ...(row.reason !== null && { reason: row.reason }) })
  return entries.toSorted((a, b) => a.at.localeCompare(b.at))
}

function errorChainOf(chain: unknown): z.output<typeof errorItem>[] | null {
  if (!Array.isArray(chain)) return null
  return chain.map((item: Record<string, unknown>) => ({
    error_code: typeof item['errorCode'] === 'number' ? item['errorCode'] : null,
    error_domain: textOf(item['errorDomain']),
    localized_description: textOf(item['localizedDescription']),
    us_english_description: textOf(item['usEnglishDescription']),
  }))
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
