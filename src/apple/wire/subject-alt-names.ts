import { isIPv4, isIPv6 } from 'node:net'
import { implicit, sequence } from './der-writer.ts'

/** A name or an address of a TLS server. */
export type SubjectAltName = { dns: string } | { ip: string }

/** The DER of GeneralNames (RFC 5280 4.2.1.6). Throws RangeError for what is neither a host name nor an IP address. */
export function subjectAltNames(names: SubjectAltName[]): Buffer {
  return sequence(...names.map(generalName))
}

function generalName(name: SubjectAltName): Buffer {
  return 'dns' in name ? implicit(2, dnsBytes(name.dns)) : implicit(7, ipBytes(name.ip))
}

function dnsBytes(name: string): Buffer {
  if (!/^[A-Za-z0-9*._-]{1,253}$/.test(name)) throw new RangeError('not a host name in ASCII form')
  return Buffer.from(name, 'latin1')
}

function ipBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  if (!isIPv6(address) || address.includes('%')) throw new RangeError('not an IP address')
  // URL writes an embedded IPv4 part as two groups, and shortens in one way only.
  const [head = '', tail = ''] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::').map(hexOf)
  return Buffer.from(head + '0'.repeat(32 - head.length - tail.length) + tail, 'hex')
}

function hexOf(groups: string): string {
  return groups.split(':').map((group) => (group === '' ? '' : group.padStart(4, '0'))).join('')
}
