import { type DerCursor, type DerValue, enter, explicitTag, finish, next, nextIf, readDer, rest, TAG } from './der.ts'
import { booleanOf, namedBits, octets, oidOf, smallInteger } from './der-types.ts'
import { WireError } from './error.ts'
import { OID } from './oids.ts'

const MAX_EXTENSIONS = 32
const MAX_PURPOSES = 32

/** The bits of keyUsage (RFC 5280 4.2.1.3) in `Certificate.keyUsage`. */
export const KEY_USAGE = {
  digitalSignature: 1,
  nonRepudiation: 2,
  keyEncipherment: 4,
  dataEncipherment: 8,
  keyAgreement: 16,
  keyCertSign: 32,
  crlSign: 64,
} as const

/** What a certificate says about its use. No keyUsage at all is not the same as none allowed. */
export interface CertificateExtensions {
  isCa: boolean
  keyUsage?: number
  extendedKeyUsage: string[]
  subjectKeyId?: Buffer
}

/** Reads the `[3] EXPLICIT Extensions` of a certificate, or says what their absence means. Duplicates are refused. */
export function readExtensions(outer: DerValue | undefined): CertificateExtensions {
  const found = outer ? collect(outer) : new Map<string, Buffer>()
  const usage = found.get(OID.keyUsage)
  const keyId = found.get(OID.subjectKeyIdentifier)
  const purposes = found.get(OID.extendedKeyUsage)
  return {
    isCa: readIsCa(found.get(OID.basicConstraints)),
    ...(usage && { keyUsage: namedBits(readDer(usage)) }),
    extendedKeyUsage: purposes ? rest(enter(readDer(purposes), TAG.sequence), MAX_PURPOSES).map(oidOf) : [],
    ...(keyId && { subjectKeyId: octets(readDer(keyId)) }),
  }
}

function collect(outer: DerValue): Map<string, Buffer> {
  const wrapper = enter(outer, explicitTag(3))
  const extensions = rest(enter(next(wrapper), TAG.sequence), MAX_EXTENSIONS)
  finish(wrapper)
  const found = new Map<string, Buffer>()
  for (const extension of extensions) {
    const [name, value] = readExtension(enter(extension, TAG.sequence))
    if (found.has(name)) throw new WireError('asn1', 'extension twice')
    found.set(name, value)
  }
  return found
}

function readExtension(fields: DerCursor): [string, Buffer] {
  const name = oidOf(next(fields))
  const critical = nextIf(fields, TAG.boolean)
  if (critical) booleanOf(critical)
  const value = octets(next(fields))
  finish(fields)
  return [name, value]
}

function readIsCa(value: Buffer | undefined): boolean {
  if (!value) return false
  const fields = enter(readDer(value), TAG.sequence)
  const isCa = nextIf(fields, TAG.boolean)
  const pathLength = nextIf(fields, TAG.integer)
  finish(fields)
  if (pathLength) smallInteger(pathLength)
  return isCa !== undefined && booleanOf(isCa)
}
