import { describe, expect, it } from 'vitest'
import { encodeCommand, readCommand } from '../../../src/apple/wire/command.ts'
import { decodePlist } from '../../../src/apple/wire/plist.ts'
import { encodePlist, type EncodableDict } from '../../../src/apple/wire/plist-writer.ts'
import { reasonOf } from './reason-of.ts'

const UUID = '0C000001-5B1D-4E8A-9D2F-6A7B8C9D0E1F'

describe('encodeCommand', () => {
  it('puts the command into its envelope and leaves out what is undefined', () => {
    const body = encodeCommand(UUID, { RequestType: 'DeviceLock', PIN: undefined, Message: 'Lost' })
    expect(decodePlist(body)).toEqual({ CommandUUID: UUID, Command: { RequestType: 'DeviceLock', Message: 'Lost' } })
  })

  it('asks for a tethered network beside the command', () => {
    const body = encodeCommand(UUID, { RequestType: 'ProfileList' }, { requestRequiresNetworkTether: true })
    expect(decodePlist(body)).toMatchObject({ RequestRequiresNetworkTether: true })
  })

  it('refuses what no device would take', () => {
    expect(reasonOf(() => encodeCommand('', { RequestType: 'ProfileList' }))).toBe('command_uuid')
    expect(reasonOf(() => encodeCommand(UUID, { RequestType: '' }))).toBe('request_type')
    expect(reasonOf(() => encodeCommand(UUID, { RequestType: 'DeviceLock', Message: 'a\u0000' }))).toBe('character')
  })
})

describe('readCommand', () => {
  it('reads what encodeCommand writes', () => {
    const command = { RequestType: 'InstallProfile', Payload: Buffer.from('<plist/>') }
    expect(readCommand(encodeCommand(UUID, command, { requestRequiresNetworkTether: false }))).toEqual({
      commandUuid: UUID, requestType: 'InstallProfile', command, requestRequiresNetworkTether: false,
    })
  })

  it('leaves the CommandUUID to the server when there is none', () => {
    expect(readCommand(encodePlist({ Command: { RequestType: 'ProfileList' } })))
      .toEqual({ requestType: 'ProfileList', command: { RequestType: 'ProfileList' } })
  })

  it('takes the inner dict alone', () => {
    expect(readCommand(encodePlist({ RequestType: 'DeviceInformation', Queries: ['UDID'] }))).toEqual({
      requestType: 'DeviceInformation', command: { RequestType: 'DeviceInformation', Queries: ['UDID'] },
    })
  })

  it('takes a CommandUUID that is no UUID', () => {
    const uuid = 'inventory:2026-03-01_a.1'
    const bytes = encodePlist({ CommandUUID: uuid, Command: { RequestType: 'ProfileList' } })
    expect(readCommand(bytes).commandUuid).toBe(uuid)
  })

  const Command = { RequestType: 'ProfileList' }
  const refusals: [string, EncodableDict, string][] = [
    ['an unknown key beside Command', { CommandUUID: UUID, Command, Priority: 1 }, 'key'],
    ['a RequestType beside Command', { Command, RequestType: 'EraseDevice' }, 'key'],
    ['a CommandUUID without Command', { CommandUUID: UUID, RequestType: 'ProfileList' }, 'key'],
    ['a Command that is a string', { Command: 'ProfileList' }, 'type'],
    ['a Command without RequestType', { Command: {} }, 'request_type'],
    ['a RequestType that is a number', { Command: { RequestType: 1 } }, 'request_type'],
    ['a RequestType with a space', { RequestType: 'Erase Device' }, 'request_type'],
    ['nothing', {}, 'request_type'],
    ['a CommandUUID that is a number', { CommandUUID: 1, Command }, 'command_uuid'],
    ['an empty CommandUUID', { CommandUUID: '', Command }, 'command_uuid'],
    ['a CommandUUID of 65 characters', { CommandUUID: 'a'.repeat(65), Command }, 'command_uuid'],
    ['a CommandUUID with a slash', { CommandUUID: '../a', Command }, 'command_uuid'],
    ['RequestRequiresNetworkTether as a word', { Command, RequestRequiresNetworkTether: 'yes' }, 'type'],
  ]
  for (const [title, fields, reason] of refusals) {
    it(`refuses ${title}`, () => expect(reasonOf(() => readCommand(encodePlist(fields)))).toBe(reason))
  }

  it('refuses a list of commands', () => {
    expect(reasonOf(() => readCommand(encodePlist([{ Command }])))).toBe('type')
  })
})
