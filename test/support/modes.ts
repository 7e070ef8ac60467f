import { Agent } from 'node:https'
import type { Signer } from '../../src/apple/wire/cms-sign.ts'
import { writeCertificatePem } from '../../src/apple/wire/pem.ts'
import { send, type Answer, type TestServer } from './bramley.ts'
import { enrolledDevice, rawDevice, signatureOf, type Prove, type RawDevice } from './raw-device.ts'

export type Headers = Record<string, string | string[]>

/** What a request shows besides its body. */
export interface Proof {
  /** In the TLS handshake. */
  tls?: Signer
  headers?: Headers
  /** The address of the socket. */
  from?: string
}

export const rfc9440 = (identity: Signer) => `:${identity.certificate.der.toString('base64')}:`
export const pemOf = (identity: Signer) => writeCertificatePem(identity.certificate.der)

/** One way for devices to prove who they are: the settings of a server that asks for it, and the proof of an identity. */
export interface Mode {
  mode: 'signature' | 'mtls' | 'proxy-header'
  settings: Record<string, string>
  /** The header that carries the proof, where a header does. */
  header?: 'mdm-signature' | 'client-cert'
  prove: (identity: Signer, body: Buffer) => Proof
}

/** All of them; this machine is a trusted proxy in each, so that only the method decides what a header is worth. */
export const MODES: Mode[] = [
  {
    mode: 'signature', header: 'mdm-signature', settings: { BRAMLEY_TRUSTED_PROXIES: '127.0.0.1' },
    prove: (identity, body) => ({ headers: { 'mdm-signature': signatureOf(body, identity) } }),
  },
  { mode: 'mtls', settings: { BRAMLEY_DEVICE_AUTH: 'mtls', BRAMLEY_TRUSTED_PROXIES: '127.0.0.1' }, prove: (identity) => ({ tls: identity }) },
  {
    mode: 'proxy-header', header: 'client-cert', settings: { BRAMLEY_DEVICE_AUTH: 'proxy-header', BRAMLEY_TRUSTED_PROXIES: '127.0.0.1' },
    prove: (identity) => ({ headers: { 'client-cert': rfc9440(identity) } }),
  },
]

/** One message with whatever proof the test wants to show; over the server's kept connection when TLS shows nothing. */
export async function put(server: TestServer, body: Buffer, contentType: string, proof: Proof): Promise<Answer> {
  const request = { headers: { 'content-type': contentType, ...proof.headers }, body }
  if (!proof.tls && !proof.from) return server.http('PUT', '/mdm', request)
  const agent = new Agent({
    ca: server.ca, ...(proof.from && { localAddress: proof.from }),
    ...(proof.tls && { cert: pemOf(proof.tls), key: proof.tls.key.export({ format: 'pem', type: 'pkcs8' }) }),
  })
  return send(server.url, agent, 'PUT', '/mdm', request).finally(() => agent.destroy())
}

/** How a raw device of this mode sends. */
function proverOf({ prove }: Mode): Prove {
  return (server, identity, body, contentType, headers) => {
    const proof = prove(identity, body)
    return put(server, body, contentType, { ...proof, headers: { ...proof.headers, ...headers } })
  }
}

/** A device that speaks in this mode; nothing is sent yet. */
export function deviceIn(mode: Mode, server: TestServer, udid: string, identity: Signer): RawDevice {
  return rawDevice(server, udid, identity, proverOf(mode))
}

/** A device that enrolled in this mode. */
export function enrolledIn(mode: Mode, server: TestServer, udid: string, o: Parameters<typeof enrolledDevice>[2] = {}): Promise<RawDevice> {
  return enrolledDevice(server, udid, { ...o, prove: proverOf(mode) })
}
