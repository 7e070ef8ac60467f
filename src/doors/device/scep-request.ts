import type { FastifyRequest } from 'fastify'
import { WireError } from '../../apple/wire/error.ts'
import type { ScepRequest } from '../../features/identity/index.ts'

/**
 * Reads a SCEP request off HTTP (RFC 8894, section 4): the message is the body of a POST, or base64 in the query of a GET,
 * where clients that do not escape it turn `+` into a space.
 */
export function readScepRequest(request: FastifyRequest, body: Buffer): ScepRequest {
  const query = request.query as Record<string, string | string[] | undefined>
  const operation = query['operation']
  if (typeof operation !== 'string') throw new WireError('operation')
  const message = request.method === 'POST' ? body : fromQuery(operation, query['message'])
  return { operation, remoteAddress: request.ip, ...(message && { message }) }
}

function fromQuery(operation: string, message: string | string[] | undefined): Buffer | undefined {
  if (operation !== 'PKIOperation') return undefined
  const base64 = typeof message === 'string' ? message.replaceAll(' ', '+').replace(/[\r\n]/g, '') : ''
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) throw new WireError('base64')
  return Buffer.from(base64, 'base64')
}
