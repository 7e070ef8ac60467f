import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { readCertificate, type Certificate } from '../../apple/wire/x509.ts'

// The handshake happens once, the messages are many.
const shown = new WeakMap<Socket, Certificate>()

/**
 * The certificate that the peer showed in the TLS handshake, where it also proved to hold the key (RFC 8446 4.4.3); undefined
 * when it showed none, or on plain HTTP. Who issued it is not judged here. Throws WireError for what is no certificate.
 */
export function tlsCertificate(socket: Socket): Certificate | undefined {
  const known = shown.get(socket)
  if (known || !(socket instanceof TLSSocket)) return known
  const der = socket.getPeerX509Certificate()?.raw
  if (!der) return undefined
  const certificate = readCertificate(der)
  shown.set(socket, certificate)
  return certificate
}
