import { z } from 'zod'
import type { DeviceRow } from './devices.ts'
import { ENROLLMENT_STATES } from './tables.ts'

export const deviceShape = z.object({
  id: z.string(),
  name: z.string().nullable(),
  serial_number: z.string().nullable(),
  udid: z.string().nullable(),
  enrollment_id: z.string().nullable().describe('In user enrollment, where the UDID stays unknown'),
  platform: z.string().nullable(),
  model: z.string().nullable(),
  model_name: z.string().nullable(),
  os_version: z.string().nullable(),
  build: z.string().nullable(),
  supervised: z.boolean().nullable(),
  ownership: z.string().nullable(),
  enrollment: z.object({
    state: z.enum(ENROLLMENT_STATES),
    type: z.enum(['device', 'user']),
    link: z.string().nullable(),
    enrolled_at: z.string().nullable(),
    access_rights: z.int().nullable(),
    push_topic: z.string().nullable(),
    push_trouble: z.string().nullable().describe("Apple's last reason for refusing pushes to it; null while there is none"),
    identity_expires_at: z.string().nullable(),
  }),
  last_seen_at: z.string().nullable(),
  freshness: z.enum(['live', 'today', 'week', 'silent', 'never']),
  battery_percent: z.int().nullable(),
  storage: z.object({ total_bytes: z.number(), free_bytes: z.number() }).nullable(),
  commands: z.object({ queued: z.int(), not_now: z.int() }),
  simulated: z.boolean(),
  inventory_at: z.string().nullable(),
  links: z.object({ self: z.string() }),
}).meta({ id: 'Device' })

/** A device as the API shows it. */
export function shapeDevice(row: DeviceRow, waiting: { queued: number; not_now: number }, now: Date): z.output<typeof deviceShape> {
  return {
    id: row.id,
    name: row.name,
    serial_number: row.serial_number,
    udid: row.device_key_kind === 'udid' ? row.device_key : null,
    enrollment_id: row.device_key_kind === 'enrollment_id' ? row.device_key : null,
    platform: row.platform,
    model: row.model,
    model_name: row.model_name,
    os_version: row.os_version,
    build: row.build,
    supervised: row.supervised,
    ownership: row.ownership,
    enrollment: {
      state: row.state,
      type: row.device_key_kind === 'udid' ? 'device' : 'user',
      link: row.link_id,
      enrolled_at: row.enrolled_at?.toISOString() ?? null,
      access_rights: row.access_rights,
      push_topic: row.topic,
      push_trouble: row.push_trouble,
      identity_expires_at: row.identity_expires_at?.toISOString() ?? null,
    },
    last_seen_at: row.last_seen_at?.toISOString() ?? null,
    freshness: freshnessOf(row.last_seen_at, now),
    battery_percent: batteryOf(row.facts),
    storage: storageOf(row.facts),
    commands: waiting,
    simulated: row.simulated,
    inventory_at: row.facts_at?.toISOString() ?? null,
    links: { self: `/api/v1/devices/${row.id}` },
  }
}

const HOUR = 3_600_000

/** Apple's advice is to wait some days, up to a week, before calling a device inactive. */
function freshnessOf(lastSeen: Date | null, now: Date): z.output<typeof deviceShape>['freshness'] {
  if (!lastSeen) return 'never'
  const age = now.getTime() - lastSeen.getTime()
  if (age < HOUR / 12) return 'live'
  if (age < 24 * HOUR) return 'today'
  return age < 7 * 24 * HOUR ? 'week' : 'silent'
}

/** BatteryLevel is 0.0 to 1.0; -1 on devices that do not say (Apple, DeviceInformation). */
function batteryOf(facts: Record<string, unknown>): number | null {
  const level = facts['BatteryLevel']
  return typeof level === 'number' && level >= 0 && level <= 1 ? Math.round(level * 100) : null
}

/** DeviceCapacity and AvailableDeviceCapacity are in units of 1024³ bytes, with a fraction. */
function storageOf(facts: Record<string, unknown>): { total_bytes: number; free_bytes: number } | null {
  const total = facts['DeviceCapacity']
  const free = facts['AvailableDeviceCapacity']
  if (typeof total !== 'number' || typeof free !== 'number') return null
  return { total_bytes: Math.round(total * 1024 ** 3), free_bytes: Math.round(free * 1024 ** 3) }
}
