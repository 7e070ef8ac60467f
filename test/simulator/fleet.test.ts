import { describe, expect, it } from 'vitest'
import { choicesFor } from '../../src/simulator/deal.ts'
import { startFleet } from '../../src/simulator/fleet.ts'
import { MODELS, modelsOf } from '../../src/simulator/models.ts'

describe('what is dealt to the devices of a fleet', () => {
  it('is a model each, from the beginning again when they run out', () => {
    const models = MODELS.slice(0, 3)
    expect([0, 1, 2, 3].map((index) => choicesFor({ count: 4, models }, index).model)).toEqual([...models, models[0]])
  })

  it('is an iPhone unless models were chosen', () => {
    expect(choicesFor({ count: 1 }, 0).model).toBe(modelsOf('iphone')[0])
  })

  it('is a kind each, and of every kind its models in their order', () => {
    const kinds = ['mac', 'ipad', 'mac', 'shared-ipad'] as const
    const dealt = [0, 1, 2, 3, 4].map((index) => choicesFor({ count: 5, kinds }, index))
    const [firstMac, secondMac, thirdMac] = modelsOf('mac')
    expect(dealt.map(({ model }) => model)).toEqual([firstMac, modelsOf('ipad')[0], secondMac, modelsOf('ipad')[0], thirdMac])
    expect(dealt.map(({ sharedIpad }) => sharedIpad)).toEqual([undefined, undefined, undefined, true, undefined])
  })

  it('is a name and a serial number while there are any', () => {
    const o = { count: 2, names: ['Kiosk 1'], serials: ['DMQVGC0DHLF0'] }
    expect(choicesFor(o, 0)).toMatchObject({ deviceName: 'Kiosk 1', serialNumber: 'DMQVGC0DHLF0' })
    expect(choicesFor(o, 1)).toMatchObject({ deviceName: undefined, serialNumber: undefined })
  })

  it('is supervision for all, or as somebody decides', () => {
    expect(choicesFor({ count: 1, supervised: true }, 0).supervised).toBe(true)
    const o = { count: 2, supervised: (index: number) => index === 1 }
    expect([choicesFor(o, 0).supervised, choicesFor(o, 1).supervised]).toEqual([false, true])
  })
})

describe('a fleet', () => {
  // Port 1 of this machine: nobody listens there, and asking costs nothing.
  it('that finds no server says so', async () => {
    const fleet = startFleet({ url: 'https://127.0.0.1:1', link: 'K7Q4-M2XP', count: 2, patience: { attempts: 1 } })
    await expect(fleet).rejects.toThrow('ECONNREFUSED 127.0.0.1:1')
  })

  it('that finds no stand-in says so', async () => {
    const apns = { host: '127.0.0.1', port: 1, ca: '' }
    await expect(startFleet({ url: 'https://127.0.0.1:1', link: 'x', count: 1, apns }))
      .rejects.toThrow("no stand-in for Apple's push service at 127.0.0.1:1")
  })

  it('that was called off begins nothing', async () => {
    const fleet = await startFleet({ url: 'https://127.0.0.1:1', link: 'x', count: 3, signal: AbortSignal.abort() })
    expect([fleet.devices, fleet.failures]).toEqual([[], []])
    await fleet.stop()
  })
})
