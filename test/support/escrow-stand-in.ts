import type { IncomingHttpHeaders } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { openAuthority } from '../../src/simulator/apns-authority.ts'

export interface EscrowCall {
  method: string
  url: URL
  headers: IncomingHttpHeaders
  form: Record<string, string>
  /** SHA-256 of the client's certificate, in hexadecimal. */
  client: string
}

/** Plays Apple's service for escrow keys: TLS with a client certificate of the push service's CA, or no conversation. */
export interface EscrowStandIn {
  url: string
  caPem: string
  calls: EscrowCall[]
  answer(status: number, body: string, headers?: Record<string, string>): void
  close(): Promise<void>
}

/** `clientCa`: whose client certificates are let in. */
export async function startEscrowStandIn(clientCa: string): Promise<EscrowStandIn> {
  const authority = await openAuthority(() => new Date())
  const { certificatePem: cert, keyPem: key } = authority.issueServerCertificate('127.0.0.1')
  const calls: EscrowCall[] = []
  let next = { status: 200, body: '', headers: {} as Record<string, string> }
  const server = createServer({ cert, key, ca: clientCa, requestCert: true, rejectUnauthorized: true }, (request, response) => {
    let text = ''
    request.on('data', (chunk: Buffer) => (text += chunk.toString()))
    request.on('end', () => {
      const peer = (request.socket as TLSSocket).getPeerCertificate()
      calls.push({
        method: request.method ?? '', url: new URL(request.url ?? '', 'https://apple.test'), headers: request.headers,
        form: Object.fromEntries(new URLSearchParams(text)), client: peer.fingerprint256.replaceAll(':', '').toLowerCase(),
      })
      response.writeHead(next.status, next.headers).end(next.body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/deviceservicesworkers/escrowKeyUnlock`,
    caPem: authority.caPem,
    calls,
    answer: (status, body, headers = {}) => void (next = { status, body, headers }),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
