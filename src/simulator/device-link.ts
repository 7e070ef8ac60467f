import { encodePem } from '../apple/wire/pem.ts'
import { signDetachedLikeIos, type Signer } from '../apple/wire/cms-sign.ts'
import type { DeviceMemory } from './device-memory.ts'
import { createHttpsClient, type HttpAnswer, type HttpRequest } from './https-client.ts'
import { CHECKIN_TYPE } from './messages.ts'
import { DEFAULT_PATIENCE, Offline, patiently, type Patience } from './patience.ts'

/**
 * How a device reaches its server. `ca`: a PEM certificate to trust besides the public ones and those of the
 * profile.
 */
export interface LinkOptions {
  ca?: string | undefined
  patience?: Partial<Patience> | undefined
}

/** An enrolled device's line to its server: every message signed, those that matter sent until they arrive. */
export interface DeviceLink {
  /** One message to the ServerURL or, for a check-in, the CheckInURL; once, whatever comes of it. */
  put(body: Buffer, contentType: string): Promise<HttpAnswer>
  /** The same, with the device's patience. */
  deliver(body: Buffer, contentType: string): Promise<HttpAnswer>
  /** Any request, with the device's patience. */
  ask(request: HttpRequest): Promise<HttpAnswer>
  /** Ends what waits for its next attempt. */
  close(): void
}

/** The value of the header Mdm-Signature for a body, in the shape real iPhones send it. */
export function signatureOf(body: Uint8Array, identity: Signer): string {
  return signDetachedLikeIos(body, identity).toString('base64')
}

/** Opens the line. `reachable` is asked before every attempt: a device without network sends nothing. */
export function openLink(memory: DeviceMemory, o: LinkOptions, reachable: () => boolean): DeviceLink {
  const closing = new AbortController()
  const patience = { ...DEFAULT_PATIENCE, ...o.patience }
  const client = createHttpsClient(rootsOf(memory.enrollment.profile.roots, o.ca))
  const put = async (body: Buffer, contentType: string) => {
    if (!reachable()) throw new Offline()
    return client.send(signed(memory, body, contentType))
  }
  const patient = (send: () => Promise<HttpAnswer>) => patiently(send, patience, closing.signal)
  return {
    put,
    deliver: (body, contentType) => patient(() => put(body, contentType)),
    ask: (request) => patient(() => client.send(request)),
    close() {
      closing.abort()
      client.close()
    },
  }
}

function signed({ enrollment }: DeviceMemory, body: Buffer, contentType: string): HttpRequest {
  const { profile, identity } = enrollment
  const url = contentType === CHECKIN_TYPE ? profile.checkInUrl : profile.serverUrl
  const signature = profile.signMessage ? { 'mdm-signature': signatureOf(body, identity) } : {}
  return { method: 'PUT', url, headers: { 'content-type': contentType, ...signature }, body }
}

/** What a device trusts besides public roots. Those inside an enrollment profile need no switch in Settings (Apple). */
export function rootsOf(roots: readonly Buffer[], ca: string | undefined): string[] {
  return [...(ca === undefined ? [] : [ca]), ...roots.map((der) => encodePem('CERTIFICATE', der))]
}

