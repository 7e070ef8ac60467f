import type { IncomingMessage } from 'node:http'
import { WireError } from '../../apple/wire/error.ts'
import { decodePem } from '../../apple/wire/pem.ts'
import { MAX_DEVICE_CERTIFICATE_SIZE, readCertificate, type Certificate } from '../../apple/wire/x509.ts'
import { matcher } from '../../base/cidr.ts'
import type { Config } from '../../base/config.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import { tlsCertificate } from './tls-certificate.ts'

/**
 * Reads the client certificate that a proxy in front saw and passes on. Only the address of the socket counts, never
 * X-Forwarded-For: certificates are public, so from anybody else the header means nothing and is not looked at. Throws
 * DeviceRefused('proxy_header_shape') for more than one value.
 */
export function proxyHeaderReader(config: Pick<Config, 'trustedProxies' | 'clientCertHeader'>): (request: IncomingMessage) => Certificate | undefined {
  const isProxy = matcher(config.trustedProxies)
  const name = config.clientCertHeader.toLowerCase()
  return (request) => {
    if (!isProxy(request.socket.remoteAddress)) return undefined
    const value = onlyValue(request, name)
    return value === undefined ? undefined : decodeHeader(value)
  }
}

/**
 * RFC 9440 2.2: the field has one value. Read from the raw headers, because Node joins or drops doubles; a name with `_` for
 * `-` is the same header to many a proxy and so a way around its rules.
 */
function onlyValue(request: IncomingMessage, name: string): string | undefined {
  const pairs = request.rawHeaders.flatMap((text, at, all) => (at % 2 === 0 ? [{ name: text.toLowerCase(), value: all[at + 1] ?? '' }] : []))
  const [first, ...more] = pairs.filter((pair) => pair.name.replaceAll('_', '-') === name)
  if (!first) return undefined
  if (more.length > 0 || first.name !== name || /[,\s]/.test(first.value)) throw new DeviceRefused('proxy_header_shape')
  if (first.value === '' && tlsCertificate(request.socket)) throw new DeviceRefused('proxy_header_shape')
  return first.value
}

/**
 * RFC 9440 `:base64:`, percent-encoded PEM (nginx, AWS) or bare base64 of the DER (Traefik, HAProxy). What cannot be read counts
 * as absent: Caddy sends the text of its own placeholder when a client shows no certificate.
 */
function decodeHeader(value: string): Certificate | undefined {
  try {
    const text = value.includes('%') ? decodeURIComponent(value) : value
    const der = text.includes('-----BEGIN ') ? onlyBlock(text) : decodeBase64(/^:([^:]*):$/.exec(text)?.[1] ?? text)
    return der && der.length <= MAX_DEVICE_CERTIFICATE_SIZE ? readCertificate(der) : undefined
  } catch (error) {
    if (error instanceof WireError || error instanceof URIError) return undefined
    throw error
  }
}

function onlyBlock(text: string): Buffer | undefined {
  const [block, ...more] = decodePem(text)
  if (more.length > 0) throw new DeviceRefused('proxy_header_shape')
  return block?.label === 'CERTIFICATE' ? block.der : undefined
}

function decodeBase64(text: string): Buffer | undefined {
  const der = Buffer.from(text, 'base64')
  return der.length > 0 && der.toString('base64') === text ? der : undefined
}
