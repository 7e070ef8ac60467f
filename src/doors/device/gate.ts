import type { FastifyRequest } from 'fastify'
import { verifyDetached, decodeSignatureHeader } from '../../apple/wire/cms.ts'
import type { Certificate } from '../../apple/wire/x509.ts'
import { isLoopback, matcher } from '../../base/cidr.ts'
import type { Config } from '../../base/config.ts'
import type { Deps } from '../../base/deps.ts'
import { Problem } from '../../base/problem.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import { checkIdentity, type Authorities, type Identity } from '../../features/identity/index.ts'
import { proxyHeaderReader } from './proxy-header.ts'
import { tlsCertificate } from './tls-certificate.ts'

/** Proves which certificate speaks. */
export type Gate = (request: FastifyRequest, body: Buffer) => Identity

type Method = Config['deviceAuth']

/**
 * The proof of a device's identity, checked before anything is parsed. One configured method decides; whatever else the
 * request shows must be the same certificate, or somebody speaks through somebody else's connection (security-guide 3). The
 * certificate must be issued by a CA we trust and alive now; whether it is revoked and whose it is, the database says with the
 * message. Throws DeviceRefused, IdentityRefused or WireError.
 */
export function deviceGate(deps: Deps, authorities: Authorities): Gate {
  const method = deps.config.deviceAuth
  const fromProxy = proxyHeaderReader(deps.config)
  return (request, body) => {
    const shown: Record<Method, Certificate | undefined> = {
      'proxy-header': fromProxy(request.raw),
      mtls: tlsCertificate(request.raw.socket),
      signature: signerOf(request, body),
    }
    const certificate = shown[method]
    if (!certificate) throw new DeviceRefused('no_certificate')
    const isOther = (one: Certificate | undefined) => one !== undefined && !one.sha256.equals(certificate.sha256)
    if (Object.values(shown).some(isOther)) throw new DeviceRefused('identity_conflict')
    return checkIdentity(authorities, certificate, deps.clock())
  }
}

/** The header Mdm-Signature: a detached CMS over the very bytes of the body (protocol.md 1.1). */
function signerOf(request: FastifyRequest, body: Buffer): Certificate | undefined {
  const header = request.headers['mdm-signature']
  if (typeof header !== 'string' || header === '') return undefined
  return verifyDetached(decodeSignatureHeader(header), body).certificate
}

/**
 * Between phone and server everything is TLS: plain HTTP is answered to this machine and to trusted proxies only. Throws a
 * Problem, because a person at a page must be told too; a device gets its bare 400.
 */
export function transportGuard(deps: Deps): (request: FastifyRequest) => void {
  const isProxy = matcher(deps.config.trustedProxies)
  return (request) => {
    const { socket } = request.raw
    if ('encrypted' in socket && socket.encrypted === true) return
    if (!isLoopback(socket.remoteAddress) && !isProxy(socket.remoteAddress)) throw new Problem('plain_http')
  }
}
