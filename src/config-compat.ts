import { z } from 'zod'
import { durationMs } from './base/duration.ts'

/** The address of the webhook. What is wrong is told without the address: it may hold a password. */
export const webhookUrl = z.string().refine((text) => text === '' || isHttp(text), 'must be a URL that begins with https:// or http://')

/** An address at Apple, or a stand-in's: what is sent there is secret, and we show our push certificate. */
export const appleUrl = z.string().refine((text) => URL.canParse(text) && new URL(text).protocol === 'https:', 'must be a URL that begins with https://')

/** `30d`, `12h`; in milliseconds. */
export const duration = z.string().transform((text, context) => {
  try {
    return durationMs(text, '/')
  } catch {
    context.addIssue({ code: 'custom', message: 'must look like 90s, 15m, 72h or 7d' })
    return z.NEVER
  }
})

/** A key alone signs nothing: somebody forgot the address, or misspelt it. */
export function webhookComplaints({ BRAMLEY_WEBHOOK_URL: url = '', BRAMLEY_WEBHOOK_HMAC_KEY: key = '' }: Record<string, string>): string[] {
  return key !== '' && url === '' ? ['BRAMLEY_WEBHOOK_HMAC_KEY: is read with BRAMLEY_WEBHOOK_URL only'] : []
}

/** What webhookUrl has let through; undefined while there is none. */
export function webhookOf(url: string, hmacKey: string): { url: URL; hmacKey: string | undefined } | undefined {
  return url === '' ? undefined : { url: new URL(url), hmacKey: hmacKey || undefined }
}

function isHttp(text: string): boolean {
  return URL.canParse(text) && ['https:', 'http:'].includes(new URL(text).protocol)
}
