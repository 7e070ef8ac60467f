import type { FastifySchemaCompiler } from 'fastify'
import { z } from 'zod'
import { closest } from '../../base/closest.ts'
import { Problem, type Finding } from '../../base/problem.ts'

type Issue = z.core.$ZodIssue

const MOST = 20

/**
 * Judges one part of a request by its zod schema. A refused body is `validation_failed` with a JSON Pointer for each
 * finding; a refused query or path is `unknown_parameter` or `malformed_request`.
 */
export const validatorCompiler: FastifySchemaCompiler<z.ZodType> = ({ schema, httpPart }) => (data: unknown) => {
  const result = schema.safeParse(data)
  return result.success ? { value: result.data } : { error: refusalOf(schema, result.error.issues, httpPart) }
}

function refusalOf(schema: z.ZodType, issues: readonly Issue[], part: string | undefined): Problem {
  const errors = issues.flatMap((issue) => findingsOf(schema, issue)).slice(0, MOST)
  if (part === 'body') return new Problem('validation_failed', undefined, { errors })
  const unknown = errors.find((finding) => finding.code === 'unknown_key')
  const first = unknown ?? errors[0]
  const detail = first && `${first.pointer.slice(1)} ${first.detail}`
  return new Problem(unknown ? 'unknown_parameter' : 'malformed_request', detail, { errors })
}

function findingsOf(schema: z.ZodType, issue: Issue): Finding[] {
  if (issue.code !== 'unrecognized_keys') {
    return [{ pointer: pointerOf(issue.path), code: issue.code, detail: issue.message }]
  }
  const known = schema instanceof z.ZodObject && issue.path.length === 0 ? Object.keys(schema.shape) : []
  return issue.keys.map((key) => {
    const meant = closest(key.slice(0, 100), known)
    const detail = `is not known here${meant ? `; did you mean ${meant}?` : ''}`
    return { pointer: pointerOf([...issue.path, key]), code: 'unknown_key', detail }
  })
}

/** RFC 6901: `~` and `/` inside a name are escaped. */
function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}
