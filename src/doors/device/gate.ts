import type { FastifyRequest } from 'fastify'
import { verifyDetached, decodeSignatureHeader } from '../../apple/wire/cms.ts'
import { isLoopback, matcher } from '../../base/cidr.ts'
import type { Deps } from '../../base/deps.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import { checkIdentity, type Authorities } from '../../features/identity/index.ts'

/** Proves which certificate speaks: its SHA-256. */
export type Gate = (request: FastifyRequest, body: Buffer) => Buffer

/**
 * The proof of a device's identity: the header Mdm-Signature, a detached CMS over the very bytes of the body (protocol.md
 * 1.1), checked before anything is parsed, by a certificate that our CA issued and that is alive now. Throws DeviceRefused,
 * IdentityRefused or WireError. Whether the certificate is revoked and whose it is, the database says with the message.
 */
export function signatureGate(deps: Deps, authorities: Authorities): Gate {
  return (request, body) => {
    const header = request.headers['mdm-signature']
    if (typeof header !== 'string' || header === '') throw new DeviceRefused('no_certificate')
    const { certificate } = verifyDetached(decodeSignatureHeader(header), body)
    checkIdentity(authorities, certificate, deps.clock())
    return certificate.sha256
  }
}

/** Between phone and server everything is TLS: plain HTTP is answered to this machine and to trusted proxies only. */
export function transportGuard(deps: Deps): (request: FastifyRequest) => void {
  const isProxy = matcher(deps.config.trustedProxies)
  return (request) => {
    const { socket } = request.raw
    if ('encrypted' in socket && socket.encrypted === true) return
    if (!isLoopback(socket.remoteAddress) && !isProxy(socket.remoteAddress)) throw new DeviceRefused('plain_http')
  }
}
