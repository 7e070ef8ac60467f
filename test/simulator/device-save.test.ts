import { describe, expect, it } from 'vitest'
import { loadDevice, resumeDevice, saveDevice, type SavedDevice } from '../../src/simulator/device-save.ts'
import { modelsOf, type DeviceModel } from '../../src/simulator/models.ts'
import { ask, configuration, NOW, phone, userOf } from './phone.ts'

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

  it('keeps its users, each with a report owed, and its bootstrap token', () => {
    const memory = phone({ model: modelsOf('mac')[0] as DeviceModel })
    const user = userOf(memory)
    ask(memory, 'InstallProfile', { Payload: configuration('com.example.mail') }, user)
    user.pendingReport = { body: Buffer.from('<plist/>'), executed: { commandUuid: '1', requestType: 'ProfileList', status: 'NotNow', at: NOW } }
    memory.enrollment.bootstrapToken = Buffer.alloc(64, 7)
    const { enrollment } = loadDevice(throughJson(saveDevice({ memory })))
    expect([enrollment.users, enrollment.bootstrapToken]).toEqual([[user], memory.enrollment.bootstrapToken])
    enrollment.users[0]?.profiles.pop()
    expect(user.profiles).toHaveLength(1)
  })

  it('of a version that knew no users has none', () => {
    const { users: _, ...enrollment } = saveDevice({ memory: phone() }).enrollment
    const old = throughJson({ ...saveDevice({ memory: phone() }), version: 1, enrollment })
    expect(loadDevice(old).enrollment).toMatchObject({ users: [], pushMagic: enrollment.pushMagic })
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
