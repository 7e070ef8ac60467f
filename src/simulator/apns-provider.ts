import type { Http2Session } from 'node:http2'
import { TLSSocket } from 'node:tls'
import { isMdmTopic } from '../apple/wire/topic.ts'
import { readCertificate } from '../apple/wire/x509.ts'

/** Who pushes: the topic and the SHA-256 (hex) of the client certificate, or the reason why it is refused. */
export type Provider = { topic: string; sha256: string } | { refused: 'MissingProviderToken' | 'BadCertificate' }

/**
 * Reads the client certificate of a session. It must be signed by the stand-in's CA and be alive, unless `anyClient`;
 * its UID must be an MDM topic. APNs asks who comes without a certificate for a provider token.
 */
export function providerOf(session: Http2Session, anyClient: boolean): Provider {
  const der = clientCertificate(session)
  if (!der) return { refused: 'MissingProviderToken' }
  const { socket } = session
  if (!anyClient && !(socket instanceof TLSSocket && socket.authorized)) return { refused: 'BadCertificate' }
  const { userId, sha256 } = readCertificate(der)
  return userId !== undefined && isMdmTopic(userId) ? { topic: userId, sha256: sha256.toString('hex') } : { refused: 'BadCertificate' }
}

/** The DER of the client certificate that a session opened with, if it did. */
export function clientCertificate(session: Http2Session): Buffer | undefined {
  const { socket } = session
  if (!(socket instanceof TLSSocket)) return undefined
  // An empty object when there is none, which its type does not say.
  const certificate: { raw?: Buffer } = socket.getPeerCertificate()
  return certificate.raw
}
