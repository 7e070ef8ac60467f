import swagger, { type SwaggerTransform } from '@fastify/swagger'
import type { FastifyInstance, FastifySchema } from 'fastify'
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod'
import type { Deps } from '../../base/deps.ts'
import { VERSION } from '../../base/version.ts'
import { PROBLEM_SCHEMA } from './problem-schema.ts'

const REFUSAL = {
  description: 'A problem document (RFC 9457); `code` is the word to program against.',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
}

const RAW_BODY = { body: { type: 'string', format: 'binary' }, consumes: ['application/octet-stream'] }

/**
 * Collects every route that is added after it into one OpenAPI 3.1 document, from the same schemas that validate
 * requests.
 */
export async function addOpenApi(app: FastifyInstance, deps: Deps): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Bramley', version: VERSION, description: 'Self-hosted Apple device management.' },
      servers: [{ url: deps.config.publicUrl.origin }],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', description: 'An API key, `brm_live_…`' },
          basic: { type: 'http', scheme: 'basic', description: 'An API key as user name, with an empty password' },
        },
        schemas: { Problem: PROBLEM_SCHEMA },
      },
    },
    transform,
    transformObject: jsonSchemaTransformObject, // without it the references to named schemas lead nowhere
  })
}

const transform: SwaggerTransform = (input) => {
  const { schema, url } = jsonSchemaTransform(input)
  const { config } = input.route
  const scope = config?.scope
  const open = scope === 'anyone'
  const described: FastifySchema = {
    ...schema,
    security: open ? [] : [{ bearer: [] }, { basic: [] }],
    response: { ...(schema.response as object), default: REFUSAL },
    ...(scope !== undefined && { 'x-scope': scope }),
    ...(config?.rawBody && RAW_BODY),
  }
  return { schema: described, url }
}
