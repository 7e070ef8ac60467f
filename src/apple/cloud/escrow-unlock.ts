import { request as requestHttps } from 'node:https'
import { rootCertificates } from 'node:tls'

/** Where the service is and who we are to it: the push certificate, with its chain. `ca` is trusted besides the public roots. */
export interface EscrowUnlockOptions {
  url: URL
  ca?: string | undefined
  certificatePem: string
  keyPem: string
}

/** Apple reads the hardware from the query and the rest, the key among it, from the body. */
export interface EscrowUnlockRequest {
  hardware: URLSearchParams
  form: URLSearchParams
}

export interface EscrowUnlockAnswer {
  status: number
  contentType: string | undefined
  body: Buffer
}

const TIMEOUT_MS = 10_000
const MAX_ANSWER = 1024 * 1024

/**
 * Asks Apple to take Activation Lock off a device by its escrow key (Apple: Escrow Key Unlock). Rejects when there is no answer
 * within 10 seconds or it is longer than 1 MiB; any answer resolves: 200, 400 malformed, 404 unknown device or wrong key, 500 later.
 */
export function askEscrowUnlock(options: EscrowUnlockOptions, { hardware, form }: EscrowUnlockRequest): Promise<EscrowUnlockAnswer> {
  const { url, ca, certificatePem: cert, keyPem: key } = options
  const target = new URL(url)
  for (const [name, value] of hardware) target.searchParams.append(name, value)
  const body = Buffer.from(form.toString())
  return new Promise((resolve, reject) => {
    const request = requestHttps(target, {
      method: 'POST', cert, key, minVersion: 'TLSv1.2', agent: false, signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': body.length },
      ...(ca !== undefined && { ca: [...rootCertificates, ca] }),
    }, (response) => {
      collect(response).then((answer) => {
        resolve({ status: response.statusCode ?? 500, contentType: response.headers['content-type'], body: answer })
      }, reject)
    })
    request.on('error', reject)
    request.end(body)
  })
}

async function collect(response: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    size += chunk.length
    if (size > MAX_ANSWER) throw new Error('the answer is longer than 1 MiB')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
