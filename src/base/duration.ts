import { Problem } from './problem.ts'

const UNITS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Reads `90s`, `15m`, `72h` or `7d` as milliseconds, at most ten years. `pointer` names the field in the refusal. */
export function durationMs(text: string, pointer: string): number {
  const match = /^(\d{1,9})([smhd])$/.exec(text)
  const ms = match ? Number(match[1]) * (UNITS[match[2] ?? ''] ?? 0) : 0
  if (ms <= 0 || ms > 3_650 * 86_400_000) {
    throw new Problem('validation_failed', undefined, { errors: [{ pointer, code: 'duration', detail: 'must look like 90s, 15m, 72h or 7d' }] })
  }
  return ms
}
