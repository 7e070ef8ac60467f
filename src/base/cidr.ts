import { BlockList, isIPv6 } from 'node:net'

/** Tells whether an address lies in one of the CIDRs; a bare address means itself. IPv4 addresses mapped into IPv6 count as IPv4. */
export function matcher(cidrs: readonly string[]): (address: string | undefined) => boolean {
  const list = new BlockList()
  for (const cidr of cidrs) {
    const [address = '', bits] = cidr.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    list.addSubnet(address, Number(bits ?? (family === 'ipv6' ? 128 : 32)), family)
  }
  return (address) => {
    if (address === undefined) return false
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
    return list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4')
  }
}

/** 127.0.0.0/8 and ::1. */
export const isLoopback = matcher(['127.0.0.0/8', '::1'])
