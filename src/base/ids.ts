import { randomBytes } from 'node:crypto'

declare const brand: unique symbol
type Branded<T, B extends string> = T & { readonly [brand]: B }

export type DeviceId = Branded<string, 'dev'>
export type CommandId = Branded<string, 'cmd'>
export type LinkId = Branded<string, 'lnk'>
export type AttemptId = Branded<string, 'att'>
export type KeyId = Branded<string, 'key'>
export type PushCertificateId = Branded<string, 'psh'>
export type EventId = Branded<string, 'evt'>
export type RequestId = Branded<string, 'req'>
/** The row of one channel of one generation; only inside, never shown. */
export type EnrollmentId = Branded<string, 'enrollment'>

interface Prefixes {
  dev: DeviceId
  cmd: CommandId
  lnk: LinkId
  att: AttemptId
  key: KeyId
  psh: PushCertificateId
  evt: EventId
  req: RequestId
}

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
let lastTime = 0
let lastRandom: Buffer = Buffer.alloc(10)

/** A new public id: prefix, underscore, ULID (48 bits of milliseconds, 80 random bits; ascending within this process). */
export function newId<P extends keyof Prefixes>(prefix: P): Prefixes[P] {
  return `${prefix}_${ulid(Date.now())}` as Prefixes[P]
}

function ulid(now: number): string {
  const time = Math.max(now, lastTime)
  lastRandom = time === lastTime ? increment(lastRandom) : randomBytes(10)
  lastTime = time
  return encodeTime(time) + encodeBits(lastRandom)
}

function increment(random: Buffer): Buffer {
  const next = Buffer.from(random)
  for (let i = next.length - 1; i >= 0; i--) {
    const byte = ((next[i] ?? 0) + 1) & 0xff
    next[i] = byte
    if (byte !== 0) break
  }
  return next
}

function encodeTime(time: number): string {
  let text = ''
  for (let i = 0, rest = time; i < 10; i++, rest = Math.floor(rest / 32)) text = CROCKFORD.charAt(rest % 32) + text
  return text
}

/** Crockford base32 of whole 5-bit groups, most significant first. */
export function encodeBits(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xffff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += CROCKFORD.charAt((value >> bits) & 31)
    }
  }
  return text
}
