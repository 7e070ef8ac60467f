import { describe, expect, it } from 'vitest'
import { loadDevice, resumeDevice, saveDevice, type SavedDevice } from '../../src/simulator/device-save.ts'
import { ask, configuration, NOW, phone } from './phone.ts'

const throughJson = (saved: SavedDevice) => JSON.parse(JSON.stringify(saved)) as SavedDevice

function used() {
  const memory = phone({ supervised: true, deviceName: 'Kiosk 3' })
  ask(memory, 'InstallProfile', { Payload: configuration('com.example.wifi') })
  ask(memory, 'EnableLostMode', { Message: 'Lost' })
  memory.enrollment.pendingReport = {
    body: Buffer.from('<plist/>'),
    executed: { commandUuid: '1', requestType: 'ProfileList', status: 'Acknowledged', at: NOW },
  }
  return memory
}

describe('a saved device', () => {
  it('is the same device after a walk through JSON', () => {
    const memory = used()
    const loaded = loadDevice(throughJson(saveDevice({ memory })))
    expect({ ...loaded, enrollment: { ...loaded.enrollment, identity: undefined } })
      .toEqual({ ...memory, enrollment: { ...memory.enrollment, identity: undefined } })
    expect(loaded.enrollment.identity.certificate.sha256).toEqual(memory.enrollment.identity.certificate.sha256)
    expect(loaded.enrollment.identity.key.equals(memory.enrollment.identity.key)).toBe(true)
  })

  it('without UnlockToken and report owed has neither afterwards', () => {
    const { enrollment } = loadDevice(throughJson(saveDevice({ memory: phone({ accessRights: 3 }) })))
    expect(Object.keys(enrollment)).not.toContain('unlockToken')
    expect(Object.keys(enrollment)).not.toContain('pendingReport')
  })

  it('does not change with the device it was made of', () => {
    const memory = used()
    const saved = saveDevice({ memory })
    memory.state.deviceName = 'changed'
    expect(saved.state.deviceName).toBe('Kiosk 3')
    const loaded = loadDevice(saved)
    loaded.state.deviceName = 'changed'
    expect(saved.state.deviceName).toBe('Kiosk 3')
  })

  it('that has left management comes back silent', async () => {
    const memory = used()
    memory.phase = 'erased'
    const device = await resumeDevice(throughJson(saveDevice({ memory })), {})
    expect([device.phase, await device.poll()]).toEqual(['erased', []])
    await device.stop()
  })
})
