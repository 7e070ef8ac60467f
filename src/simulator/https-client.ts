import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
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

/** A device's way to servers: HTTPS, over a connection that is kept for a while; plain HTTP on the loopback only. */
export interface HttpsClient {
  /** One request, one answer; rejects when there is none. */
  send(request: HttpRequest): Promise<HttpAnswer>
  close(): void
}

const SILENCE_MS = 30_000
const MAX_ANSWER = 64 * 1024 * 1024
// As enrollment profiles may name it.
const LOOPBACK = /^http:\/\/(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?\//

/** Trusts the public certificate authorities and these PEM certificates; a server that shows another is refused. */
export function createHttpsClient(roots: readonly string[]): HttpsClient {
  const plain = { agent: new HttpAgent({ keepAlive: true, timeout: SILENCE_MS }) }
  const secure = { agent: new HttpsAgent({ keepAlive: true, timeout: SILENCE_MS }), secureContext: contextFor(roots) }
  const open: Open = (url, options) =>
    LOOPBACK.test(url) ? httpRequest(url, { ...options, ...plain }) : httpsRequest(url, { ...options, ...secure })
  return {
    send: (request) => send(request, open),
    close() {
      plain.agent.destroy()
      secure.agent.destroy()
    },
  }
}

type Open = (url: string, options: { method: string; headers: Record<string, string> }) => ClientRequest

const contexts = new Map<string, SecureContext>()

// Reading all public roots takes long; devices of one fleet trust the same, so they share what came of it.
function contextFor(roots: readonly string[]): SecureContext {
  const name = roots.join()
  const known = contexts.get(name) ?? createSecureContext({ ca: [...rootCertificates, ...roots] })
  contexts.set(name, known)
  return known
}

function send({ method, url, headers, body }: HttpRequest, open: Open): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const length = method === 'GET' ? {} : { 'content-length': String(body?.length ?? 0) }
    const request = open(url, { method, headers: { 'user-agent': 'MDM/1.0', ...length, ...headers } })
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
