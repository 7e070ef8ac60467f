import { z } from 'zod'
import type { Certificate } from './apple/wire/x509.ts'
import { readDeviceCas } from './base/device-cas.ts'

/** One line for each way of proving a device that can never work here: it would turn every phone away. */
export function deviceAuthComplaints({ BRAMLEY_DEVICE_AUTH: method, BRAMLEY_TLS: tls, BRAMLEY_TRUSTED_PROXIES: proxies }: Record<string, string>): string[] {
  if (method === 'mtls' && tls === 'off') return ['BRAMLEY_DEVICE_AUTH: mtls needs TLS on our own listener, and BRAMLEY_TLS is off; behind a proxy it is proxy-header']
  if (method === 'proxy-header' && !proxies?.trim()) return ['BRAMLEY_DEVICE_AUTH: proxy-header believes only BRAMLEY_TRUSTED_PROXIES, and there is none']
  return []
}

/** Reads the CAs of BRAMLEY_EXTRA_DEVICE_CAS for the schema of settings; what is wrong with them becomes an issue. */
export function deviceCas(pem: string | undefined, context: z.RefinementCtx): Certificate[] {
  try {
    return pem === undefined ? [] : readDeviceCas(pem)
  } catch (error) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) })
    return z.NEVER
  }
}

/** The two files come together, and with the mode that reads them. */
export function tlsFilesComplaints({ BRAMLEY_TLS: tls, BRAMLEY_TLS_CERT: cert = '', BRAMLEY_TLS_KEY: key = '' }: Record<string, string>): string[] {
  const files = { BRAMLEY_TLS_CERT: cert, BRAMLEY_TLS_KEY: key }
  return Object.entries(files).flatMap(([name, file]) => {
    if (tls === 'files') return file === '' ? [`${name}: is needed with BRAMLEY_TLS=files`] : []
    return file === '' ? [] : [`${name}: is read with BRAMLEY_TLS=files only`]
  })
}
