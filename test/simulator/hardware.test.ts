import { describe, expect, it } from 'vitest'
import { bypassCode, makeHardware, randomSerialNumber } from '../../src/simulator/hardware.ts'
import { DEVICE_KINDS, modelsOfKind } from '../../src/simulator/kinds.ts'
import { MODELS, modelsOf, type DeviceModel } from '../../src/simulator/models.ts'

const [first] = MODELS as [DeviceModel]
const FAMILIES = {
  iphone: { family: 'iPhone', name: /^iPhone/, darwin: 4 },
  ipad: { family: 'iPad', name: /^iPad/, darwin: 4 },
  mac: { family: 'Mac', name: /^Mac/, darwin: 9 },
  appletv: { family: 'AppleTV', name: /^Apple TV/, darwin: 4 },
}

describe('the models', () => {
  it('are a dozen products or more, each once', () => {
    expect(MODELS.length).toBeGreaterThanOrEqual(12)
    expect(new Set(MODELS.map((model) => model.productName)).size).toBe(MODELS.length)
  })

  it.each(MODELS)('say of $modelName what its product name says', (model) => {
    expect(model.productName.replace(/\d+,\d+$/, '')).toBe(FAMILIES[model.platform].family)
    expect(model.modelName).toMatch(FAMILIES[model.platform].name)
    expect(model.modelNumber).toMatch(/^A\d{4}$/)
    expect([64, 128, 256, 512]).toContain(model.capacityGb)
  })

  it.each(MODELS)('run a system of which $productName has the build', ({ platform, osVersion, buildVersion }) => {
    // Apple's builds begin with the number of the Darwin generation: 20 for iOS 16 and 24 for macOS 15, and so on.
    expect(Number.parseInt(buildVersion, 10)).toBe(Number.parseInt(osVersion, 10) + FAMILIES[platform].darwin)
  })

  it('can be asked for by platform', () => {
    expect(modelsOf('ipad').every((model) => model.productName.startsWith('iPad'))).toBe(true)
    expect(DEVICE_KINDS.filter((kind) => kind !== 'shared-ipad').flatMap(modelsOfKind)).toEqual(MODELS)
    expect(modelsOfKind('shared-ipad')).toEqual(modelsOf('ipad'))
  })
})

describe('the hardware behind a serial number', () => {
  it('is the same each time, and another for another number', () => {
    expect(makeHardware(first, 'DMQVGC0DHLF0')).toEqual(makeHardware(first, 'DMQVGC0DHLF0'))
    expect(makeHardware(first, 'DMQVGC0DHLF1').udid).not.toBe(makeHardware(first, 'DMQVGC0DHLF0').udid)
  })

  it('has a UDID of today’s form, which begins with the chip', () => {
    expect(makeHardware(first, 'DMQVGC0DHLF0').udid).toMatch(/^00008140-00[0-9A-F]{14}$/)
    expect(makeHardware(first, 'x', '00008120-001A2D3C4E5F601E').udid).toBe('00008120-001A2D3C4E5F601E')
  })

  it('has a hardware UUID as UDID on a Mac, and what others have as UDID for its provisioning', () => {
    const mac = makeHardware(modelsOf('mac')[0] as DeviceModel, 'C02ZQ0ABMD')
    expect(mac.udid).toMatch(/^[0-9A-F]{8}-[0-9A-F]{4}-5[0-9A-F]{3}-9[0-9A-F]{3}-[0-9A-F]{12}$/)
    expect(mac.provisioningUdid).toMatch(/^00008122-00[0-9A-F]{14}$/)
    expect(makeHardware(first, 'C02ZQ0ABMD')).not.toHaveProperty('provisioningUdid')
  })

  it('has an IMEI with a true check digit, on phones only', () => {
    const digits = makeHardware(first, 'DMQVGC0DHLF0').cellular?.imei.replaceAll(' ', '') ?? ''
    expect(digits).toMatch(/^35\d{13}$/)
    expect(luhn(digits) % 10).toBe(0)
    expect(makeHardware(modelsOf('ipad')[0] as DeviceModel, 'x').cellular).toBeUndefined()
  })

  it('has MAC addresses that no manufacturer was given', () => {
    const { wifiMac, bluetoothMac } = makeHardware(first, 'DMQVGC0DHLF0')
    expect([wifiMac, bluetoothMac].every((mac) => /^02(:[0-9a-f]{2}){5}$/.test(mac))).toBe(true)
    expect(wifiMac).not.toBe(bluetoothMac)
  })

  it('can be given a random number of ten characters without vowels', () => {
    const serials = Array.from({ length: 50 }, randomSerialNumber)
    expect(new Set(serials).size).toBe(50)
    expect(serials.every((serial) => /^[0-9B-DF-HJ-NP-TV-Y]{10}$/.test(serial))).toBe(true)
  })

  it('has a bypass code in the groups that Settings shows', () => {
    expect(bypassCode('DMQVGC0DHLF0')).toMatch(/^[0-9A-Z]{5}-[0-9A-Z]{5}(-[0-9A-Z]{4}){4}$/)
  })
})

/** ISO/IEC 7812: every second digit from the right doubled, digits of the products added. */
function luhn(digits: string): number {
  return digits.split('').toReversed().map((digit, i) => Number(digit) * (i % 2 === 0 ? 1 : 2))
    .map((value) => Math.floor(value / 10) + (value % 10)).reduce((sum, value) => sum + value, 0)
}
