import { contentOf, enter, expectTag, finish, next, rawOf, readDer, rest, TAG } from './der.ts'
import { ia5String, oid, printableString, sequence, setOf, utf8String } from './der-writer.ts'
import { oidOf, textOf } from './der-types.ts'
import { WireError } from './error.ts'
import { OID } from './oids.ts'

const MAX_PARTS = 32

const oids = new Map<string, string>(Object.entries({
  CN: OID.commonName,
  SN: OID.surname,
  SERIALNUMBER: OID.serialNumber,
  C: OID.country,
  L: OID.locality,
  ST: OID.state,
  O: OID.organization,
  OU: OID.organizationalUnit,
  T: OID.title,
  GN: OID.givenName,
  E: OID.emailAddress,
  UID: OID.userId,
  DC: OID.domainComponent,
}))
const shortNames = new Map([...oids].map(([short, dotted]) => [dotted, short]))

/**
 * The DER of a Name (RFC 5280 4.1.2.4), one part after the other: `[['O', 'Acme'], ['CN', 'x']]`. A part is named by
 * its short name (CN, O, OU, C, L, ST, UID, …) or by a dotted OID; other names are `WireError('subject')`.
 */
export function distinguishedName(parts: [string, string][]): Buffer {
  return sequence(...parts.map(([type, text]) => setOf(sequence(oid(typeOf(type)), value(type, text)))))
}

/**
 * The parts of a Name in their order, by short name where there is one. Text of unusual types comes as `#` and its
 * DER in hex.
 */
export function nameParts(raw: Buffer): [string, string][] {
  const sets = rest(enter(readDer(raw), TAG.sequence), MAX_PARTS)
  return sets.flatMap((set) => rest(enter(set, TAG.set), MAX_PARTS)).map((attribute) => {
    const fields = enter(attribute, TAG.sequence)
    const type = oidOf(next(fields))
    const text = next(fields)
    finish(fields)
    return [shortNames.get(type) ?? type, textOf(text) ?? `#${rawOf(text).toString('hex')}`]
  })
}

/** The first part of this type, such as 'CN' or 'UID'. */
export function findNamePart(parts: [string, string][], type: string): string | undefined {
  return parts.find(([name]) => name === type)?.[1]
}

/** Throws `WireError('asn1')` unless the bytes have the outer form of a Name. */
export function checkName(raw: Buffer): Buffer {
  const name = readDer(raw)
  expectTag(name, TAG.sequence)
  if (contentOf(name).length > 2048) throw new WireError('asn1', 'name too long')
  return raw
}

function typeOf(type: string): string {
  const dotted = oids.get(type) ?? type
  if (!/^[0-2](\.(0|[1-9]\d{0,9}))+$/.test(dotted)) throw new WireError('subject', 'unknown part of a name')
  return dotted
}

function value(type: string, text: string): Buffer {
  if (type === 'C' || type === 'SERIALNUMBER') return printableString(text)
  return type === 'E' || type === 'DC' ? ia5String(text) : utf8String(text)
}
