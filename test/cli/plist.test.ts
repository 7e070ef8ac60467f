import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readCommand } from '../../src/apple/wire/command.ts'
import { commandPlist } from '../../src/cli/plist.ts'

const commandOf = (requestType: string, ...words: string[]) => readCommand(commandPlist(requestType, words)).command

describe('bramley plist', () => {
  it('prints a command with a fresh CommandUUID each time', () => {
    const [one, two] = [readCommand(commandPlist('ProfileList', [])), readCommand(commandPlist('ProfileList', []))]
    expect(one).toMatchObject({ requestType: 'ProfileList', commandUuid: expect.stringMatching(/^[0-9A-F-]{36}$/) })
    expect(two.commandUuid).not.toBe(one.commandUuid)
  })

  it('takes lists by commas and by repeating the key, values also behind =', () => {
    expect(commandOf('DeviceInformation', '--Queries', 'OSVersion,UDID', '--Queries=SerialNumber'))
      .toEqual({ RequestType: 'DeviceInformation', Queries: ['OSVersion', 'UDID', 'SerialNumber'] })
  })

  it('gives each key the type that Apple’s catalogue names', () => {
    expect(commandOf('DeviceLock', '--PIN', '123456')).toMatchObject({ PIN: '123456' })
    expect(commandOf('EraseDevice', '--PreserveDataPlan', 'true')).toMatchObject({ PreserveDataPlan: true })
    expect(commandOf('InstallApplication', '--iTunesStoreID', '361309726')).toMatchObject({ iTunesStoreID: 361309726 })
    expect(commandOf('Settings', '--Settings', '[{"Item":"DeviceName","DeviceName":"Desk"}]'))
      .toMatchObject({ Settings: [{ Item: 'DeviceName', DeviceName: 'Desk' }] })
  })

  it('takes data from a file or as base64', () => {
    const folder = mkdtempSync(join(tmpdir(), 'bramley-plist-'))
    writeFileSync(join(folder, 'wifi.mobileconfig'), 'profile')
    expect(commandOf('InstallProfile', '--Payload', `@${join(folder, 'wifi.mobileconfig')}`)['Payload']).toEqual(Buffer.from('profile'))
    rmSync(folder, { recursive: true })
    expect(commandOf('InstallProfile', '--Payload', 'cHJvZmlsZQ==')['Payload']).toEqual(Buffer.from('profile'))
  })

  it.each([
    [['DeviceInformatio'], 'did you mean DeviceInformation?'],
    [['constructor'], 'there is no command constructor'],
    [['DeviceInformation', '--Querie', 'UDID'], 'did you mean Queries?'],
    [['ProfileList', '--toString', 'x'], 'ProfileList has no key toString'],
    [['ProfileList', '--RequestType', 'EraseDevice'], 'has no key RequestType'],
    [['DeviceLock', '--PIN'], '--PIN needs a value'],
    [['DeviceLock', 'PIN'], 'expected --Key value, not PIN'],
    [['DeviceLock', '--PIN', '1', '--PIN', '2'], '--PIN is no list'],
    [['EraseDevice', '--PreserveDataPlan', 'yes'], 'must be true or false'],
    [['InstallApplication', '--iTunesStoreID', 'x'], 'must be a number'],
    [['InstallProfile', '--Payload', 'not base64'], 'must be @file or base64'],
    [['Settings', '--Settings', '{'], 'must be JSON'],
  ])('says what is wrong with %j', ([requestType = '', ...words], complaint) => {
    expect(() => commandPlist(requestType, words)).toThrow(complaint)
  })
})
