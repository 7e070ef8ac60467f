import { z } from 'zod'
import { WireError } from './error.ts'

/**
 * Holds a decoded dict against a schema. Throws WireError 'type' for a missing key or one of the wrong type, 'value'
 * for one out of bounds; the message names the key and never the value.
 */
export function parseShape<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new WireError(issue?.code === 'invalid_type' ? 'type' : 'value', issue?.path.join('.'))
}

/** Data of `min` to `max` bytes. A pipe, because `refine` would turn the 'invalid_type' of instanceof into 'custom'. */
export function dataOf(min: number, max: number) {
  const data = z.instanceof(Buffer)
  return data.pipe(data.refine(({ length }) => length >= min && length <= max))
}
