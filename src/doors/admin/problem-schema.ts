import { PROBLEMS } from '../../base/problem.ts'

const finding = {
  type: 'object' as const,
  required: ['pointer', 'code', 'detail'],
  properties: {
    pointer: { type: 'string' as const, description: 'JSON Pointer (RFC 6901) into the request' },
    code: { type: 'string' as const },
    detail: { type: 'string' as const },
  },
}

/** The shape of every refusal, for the OpenAPI document. */
export const PROBLEM_SCHEMA = {
  type: 'object' as const,
  required: ['type', 'code', 'title', 'status', 'detail', 'hint', 'instance', 'request_id'],
  properties: {
    type: { type: 'string' as const, format: 'uri', description: "The error's own help page on this server" },
    code: { type: 'string' as const, enum: Object.keys(PROBLEMS) },
    title: { type: 'string' as const },
    status: { type: 'integer' as const },
    detail: { type: 'string' as const },
    hint: { type: 'string' as const, description: 'One sentence that helps' },
    instance: { type: 'string' as const },
    request_id: { type: 'string' as const },
    errors: { type: 'array' as const, items: finding },
  },
  additionalProperties: true,
}
