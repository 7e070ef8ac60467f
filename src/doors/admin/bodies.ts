import type { FastifyInstance, FastifyRequest } from 'fastify'
import { readJsonBody } from '../../base/json-body.ts'
import { Problem } from '../../base/problem.ts'

const BODY_LIMIT = 1024 * 1024 // a route that needs more says so with bodyLimit

/**
 * Reads bodies. Routes with `rawBody` get the bytes, whatever Content-Type they came with or without (`curl -T` sends
 * none); all others take JSON. An empty body is no body, also under a JSON content type.
 */
export function acceptBodies(app: FastifyInstance): void {
  const options = { parseAs: 'buffer', bodyLimit: BODY_LIMIT } as const
  app.addHook('onRequest', async (request) => {
    const encoding = request.headers['content-encoding']
    if (encoding === undefined || encoding === 'identity') return
    throw new Problem('unsupported_content', 'A body with a Content-Encoding is not accepted.')
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', options, async (request: FastifyRequest, body: Buffer) => {
    if (takesBytes(request)) return body
    return body.length === 0 || request.is404 ? undefined : readJsonBody(body)
  })
  app.addContentTypeParser('*', options, (request: FastifyRequest, body: Buffer, done) => {
    if (takesBytes(request)) return done(null, body)
    if (body.length === 0 || request.is404) return done(null, undefined)
    return done(wrongType(request), undefined)
  })
  app.addHook('preValidation', async (request) => settleBody(request))
}

function takesBytes(request: FastifyRequest): boolean {
  return request.routeOptions.config.rawBody === true
}

/** After this a missing body is an empty one, and a route that takes none got none. */
function settleBody(request: FastifyRequest): void {
  if (request.is404) return
  const { schema } = request.routeOptions
  if (takesBytes(request)) request.body ??= Buffer.alloc(0)
  else if (schema?.body !== undefined) request.body = request.body === undefined ? {} : request.body
  else if (request.body !== undefined && JSON.stringify(request.body) !== '{}') {
    const errors = [{ pointer: '', code: 'unknown_key', detail: 'must be left out' }]
    throw new Problem('validation_failed', 'This request takes no body.', { errors })
  }
}

function wrongType(request: FastifyRequest): Problem {
  const saw = request.headers['content-type']?.split(';', 1)[0]?.slice(0, 100) ?? 'none'
  const byCurl = saw === 'application/x-www-form-urlencoded' || saw === 'none'
  const advice = byCurl ? ' With curl use --json instead of -d or -T.' : ''
  return new Problem('unsupported_content', `This takes application/json; the content type was ${saw}.${advice}`)
}
