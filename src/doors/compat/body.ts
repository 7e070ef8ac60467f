import type { FastifyInstance, FastifyRequest } from 'fastify'
import { PlainRefusal } from './speech.ts'

export const BODY_LIMIT = 8 * 1024 * 1024

/** Bodies are taken as they come, whatever their Content-Type: `curl -T` sends none, `curl -d` says it were a form. */
export function acceptBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: BODY_LIMIT }, (_request, body, done) => done(null, body))
}

/** The body of a request of any method. Fastify reads none of a GET, but micro2nano sends its command with one. */
export async function bodyOf(request: FastifyRequest): Promise<Buffer> {
  if (Buffer.isBuffer(request.body)) return request.body
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request.raw as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > BODY_LIMIT) throw new PlainRefusal(413)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
