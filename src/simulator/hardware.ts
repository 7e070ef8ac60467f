import { createHash, randomInt } from 'node:crypto'
import type { DeviceModel } from './models.ts'

/** What is engraved in a device and survives its erasure. MAC addresses and UDID are written as devices write them. */
export interface Hardware {
  model: DeviceModel
  serialNumber: string
  /** Of a Mac its hardware UUID, else today's form that begins with the chip. */
  udid: string
  /** Macs only: what other products have as UDID. */
  provisioningUdid?: string
  /** Macs only. */
  ethernetMac?: string
  wifiMac: string
  bluetoothMac: string
  /** Phones only: our iPads have no modem. */
  cellular?: { imei: string; meid: string; iccid: string; phoneNumber: string }
}

// Apple's serial numbers have no vowels and no letters that look like digits.
const SERIAL_LETTERS = '0123456789CDFGHJKLMNPQRTVWXY'

/** The hardware behind a serial number: everything follows from it, so the same number is the same device for ever. */
export function makeHardware(model: DeviceModel, serialNumber: string, udid?: string): Hardware {
  const seed = createHash('sha256').update(serialNumber).digest()
  return {
    model,
    serialNumber,
    udid: udid ?? (model.platform === 'mac' ? hardwareUuid(seed) : chipUdid(model, seed)),
    wifiMac: macAddress(seed, 8),
    bluetoothMac: macAddress(seed, 12),
    ...(model.platform === 'iphone' && { cellular: cellular(seed) }),
    ...(model.platform === 'mac' && { provisioningUdid: chipUdid(model, seed), ethernetMac: macAddress(seed, 16) }),
  }
}

/** A serial number in today's form: ten random characters. */
export function randomSerialNumber(): string {
  return Array.from({ length: 10 }, () => SERIAL_LETTERS[randomInt(SERIAL_LETTERS.length)]).join('')
}

/** The 26 characters in groups, as Settings shows a bypass code for Activation Lock. */
export function bypassCode(serialNumber: string): string {
  const alphabet = '0123456789ACDEFGHJKLMNPQRTUVWXYZ'
  const seed = createHash('sha256').update(`bypass ${serialNumber}`).digest()
  const text = [...seed.subarray(0, 26)].map((byte) => alphabet[byte % 32]).join('')
  return [text.slice(0, 5), text.slice(5, 10), ...(text.slice(10).match(/.{4}/g) ?? [])].join('-')
}

function chipUdid({ chip }: DeviceModel, seed: Buffer): string {
  return `0000${chip}-00${seed.toString('hex', 0, 7).toUpperCase()}`
}

/** A UUID of version 5, which is what follows from a digest (RFC 9562). */
function hardwareUuid(seed: Buffer): string {
  const hex = seed.toString('hex', 0, 16).toUpperCase()
  return [hex.slice(0, 8), hex.slice(8, 12), `5${hex.slice(13, 16)}`, `9${hex.slice(17, 20)}`, hex.slice(20)].join('-')
}

function macAddress(seed: Buffer, offset: number): string {
  // The second bit of the first byte marks addresses that no manufacturer was given.
  const bytes = [0x02, 0xA1, ...seed.subarray(offset, offset + 4)]
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}

function cellular(seed: Buffer): NonNullable<Hardware['cellular']> {
  const digits = String(seed.readUIntBE(16, 6)).padStart(15, '0')
  const imei = withCheckDigit(`35${digits.slice(0, 12)}`)
  return {
    imei: `${imei.slice(0, 2)} ${imei.slice(2, 8)} ${imei.slice(8, 14)} ${imei.slice(14)}`,
    meid: imei.slice(0, 14),
    iccid: withCheckDigit(`8949${digits.slice(0, 14)}`).replace(/(.{4})(?=.)/g, '$1 '),
    // From the range that Germany's regulator keeps for films (Bundesnetzagentur, "Drama numbers").
    phoneNumber: `+4917139200${digits.slice(-2)}`,
  }
}

/** ISO/IEC 7812 (Luhn), as IMEI and ICCID end. */
function withCheckDigit(digits: string): string {
  const sum = digits.split('').toReversed().reduce((total, digit, i) => {
    const value = Number(digit) * (i % 2 === 0 ? 2 : 1)
    return total + (value > 9 ? value - 9 : value)
  }, 0)
  return `${digits}${(10 - (sum % 10)) % 10}`
}
