import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https'
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls'

export interface HttpAnswer {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
}

export interface HttpRequest {
  method: 'GET' | 'POST' | 'PUT'
  url: string
  headers?: Record<string, string>
  body?: Buffer
}

/** A device's way to servers: HTTPS only, over a connection that is kept for a while. */
export interface HttpsClient {
  /** One request, one answer; rejects when there is none. */
  send(request: HttpRequest): Promise<HttpAnswer>
  close(): void
}

const SILENCE_MS = 30_000
const MAX_ANSWER = 64 * 1024 * 1024

/** Trusts the public certificate authorities and these PEM certificates; a server that shows another is refused. */
export function createHttpsClient(roots: readonly string[]): HttpsClient {
  const agent = new Agent({ keepAlive: true, timeout: SILENCE_MS })
  const options = { agent, secureContext: contextFor(roots) }
  return { send: (request) => send(request, options), close: () => agent.destroy() }
}

const contexts = new Map<string, SecureContext>()

// Reading all public roots takes long; devices of one fleet trust the same, so they share what came of it.
function contextFor(roots: readonly string[]): SecureContext {
  const name = roots.join()
  const known = contexts.get(name) ?? createSecureContext({ ca: [...rootCertificates, ...roots] })
  contexts.set(name, known)
  return known
}

function send({ method, url, headers, body }: HttpRequest, options: RequestOptions): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const length = method === 'GET' ? {} : { 'content-length': String(body?.length ?? 0) }
    const all = { 'user-agent': 'MDM/1.0', ...length, ...headers }
    const request = httpsRequest(new URL(url), { ...options, method, headers: all })
    request.on('error', reject)
    request.on('timeout', () => request.destroy(new Error(`no answer from ${new URL(url).host}`)))
    request.on('response', (response) => void readAll(response).then(resolve, reject))
    request.end(body)
  })
}

async function readAll(response: IncomingMessage): Promise<HttpAnswer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > MAX_ANSWER) throw new Error('the answer is larger than 64 MiB')
    chunks.push(chunk)
  }
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }
}
