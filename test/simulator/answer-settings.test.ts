import { describe, expect, it } from 'vitest'
import type { EncodableDict } from '../../src/apple/wire/plist-writer.ts'
import { ask, codesOf, phone } from './phone.ts'

const set = (memory: ReturnType<typeof phone>, ...Settings: EncodableDict[]) => (
  ask(memory, 'Settings', { Settings }).fields?.['Settings'] as (EncodableDict & { ErrorChain?: EncodableDict[] })[]
)

describe('Settings', () => {
  it('makes each setting by itself and reports it by itself', () => {
    const memory = phone({ supervised: true })
    const results = set(
      memory,
      { Item: 'DeviceName', DeviceName: 'Kiosk 3' }, { Item: 'Nonsense' }, { Item: 'DataRoaming', Enabled: true },
    )
    expect(results.map((result) => [result['Item'], result['Status'], result.ErrorChain?.[0]?.['ErrorCode']])).toEqual([
      ['DeviceName', 'Acknowledged', undefined],
      ['Nonsense', 'Error', 28000],
      ['DataRoaming', 'Acknowledged', undefined],
    ])
    expect(memory.state).toMatchObject({ deviceName: 'Kiosk 3', dataRoaming: true })
  })

  it.each(['DeviceName', 'TimeZone', 'Bluetooth', 'Wallpaper'])('makes %s on supervised devices only', (Item) => {
    expect(set(phone(), { Item })[0]?.ErrorChain?.[0]).toMatchObject({ ErrorCode: 12021 })
  })

  it('needs the right to network information for what touches the network', () => {
    expect(set(phone({ accessRights: 2048 }), { Item: 'PersonalHotspot', Enabled: true })[0]?.ErrorChain?.[0])
      .toMatchObject({ ErrorCode: 12007 })
  })

  it('reports a value of the wrong type, and sets nothing', () => {
    const memory = phone()
    expect(set(memory, { Item: 'DataRoaming', Enabled: 'yes' })[0]?.ErrorChain?.[0]).toMatchObject({ ErrorCode: 12008 })
    expect(memory.state.dataRoaming).toBe(false)
  })

  it('tells back what DeviceInformation is asked for', () => {
    const memory = phone()
    set(memory, { Item: 'OrganizationInfo', OrganizationInfo: { OrganizationName: 'Example' } })
    set(memory, { Item: 'MDMOptions', MDMOptions: { ActivationLockAllowedWhileSupervised: true } })
    expect(ask(memory, 'DeviceInformation', { Queries: ['OrganizationInfo', 'MDMOptions'] }).fields?.['QueryResponses'])
      .toEqual({
      MDMOptions: { ActivationLockAllowedWhileSupervised: true }, OrganizationInfo: { OrganizationName: 'Example' },
    })
    set(memory, { Item: 'OrganizationInfo' })
    expect(memory.state.organizationInfo).toBeUndefined()
  })

  it('without a list is malformed', () => {
    expect(ask(phone(), 'Settings', { Settings: { Item: 'DataRoaming' } }).status).toBe('CommandFormatError')
  })
})

describe('apps', () => {
  const names = (memory: ReturnType<typeof phone>, params: EncodableDict = {}) => {
    const { fields } = ask(memory, 'InstalledApplicationList', params)
    const apps = fields?.['InstalledApplicationList'] as EncodableDict[]
    return apps.map((app) => app['Identifier'])
  }

  it('that MDM installs are managed, and can be removed', () => {
    const memory = phone()
    expect(ask(memory, 'InstallApplication', { iTunesStoreID: 361285480 }).fields)
      .toEqual({ Identifier: 'com.example.store.id361285480', State: 'Queued' })
    expect(names(memory, { ManagedAppsOnly: true })).toEqual(['com.example.store.id361285480'])
    expect(ask(memory, 'ManagedApplicationList').fields?.['ManagedApplicationList'])
      .toMatchObject({ 'com.example.store.id361285480': { Status: 'Managed' } })
    ask(memory, 'RemoveApplication', { Identifier: 'com.example.store.id361285480' })
    expect(names(memory, { ManagedAppsOnly: true })).toEqual([])
  })

  it('of the person stay theirs unless management is asked for', () => {
    const memory = phone()
    expect(codesOf(ask(memory, 'InstallApplication', { Identifier: 'com.example.transit' }))).toEqual([12025])
    expect(codesOf(ask(memory, 'RemoveApplication', { Identifier: 'com.example.transit' }))).toEqual([12029])
    const managed = { Identifier: 'com.example.transit', ChangeManagementState: 'Managed' }
    expect(ask(memory, 'InstallApplication', managed).status).toBe('Acknowledged')
    expect(names(memory)).toHaveLength(3)
  })

  it('can be asked for by identifier, and property by property', () => {
    const wanted = { Identifiers: ['com.example.transit'], Items: ['Name', 'Version'] }
    const answer = ask(phone(), 'InstalledApplicationList', wanted)
    expect(answer.fields).toEqual({ InstalledApplicationList: [{ Name: 'Transit Times', Version: '11.0' }] })
  })
})
