import { describe, expect, it } from 'vitest'
import { encodePlist, type EncodableDict } from '../../src/apple/wire/plist-writer.ts'
import { parseReport } from '../../src/apple/wire/report.ts'
import type { Behaviour } from '../../src/simulator/behaviour.ts'
import { commandIn, converse, removesDevice, type Conversant } from '../../src/simulator/conversation.ts'
import type { Executed } from '../../src/simulator/device-memory.ts'
import type { HttpAnswer } from '../../src/simulator/https-client.ts'
import { NOW, phone } from './phone.ts'

const empty: HttpAnswer = { status: 200, headers: {}, body: Buffer.alloc(0) }
const command = (uuid: string, RequestType: string, params: EncodableDict = {}): HttpAnswer => (
  { ...empty, body: encodePlist({ CommandUUID: uuid, Command: { RequestType, ...params } }) }
)

/** A device whose server gives these answers in order, and then nothing more. An Error is a lost connection. */
function device(answers: (HttpAnswer | Error)[], behaviour: Behaviour = 'answers', random = 0.5) {
  const said: Buffer[] = []
  const suffered: string[] = []
  const confirmed: Executed[] = []
  const put = async (body: Buffer) => {
    said.push(body)
    const answer = answers.shift() ?? empty
    if (answer instanceof Error) throw answer
    return answer
  }
  const conversant: Conversant = {
    memory: phone({ supervised: true }),
    link: { put, deliver: put, ask: () => Promise.reject(new Error('no SCEP here')), close: () => undefined },
    signal: new AbortController().signal,
    behaviour,
    now: () => NOW,
    random: () => random,
    confirmed: (executed) => void confirmed.push(executed),
    updateEnrollment: () => Promise.reject(new Error('SCEP said no')),
    suffer: async (what) => void suffered.push(what),
  }
  const reports = () => said.map((body) => parseReport(body)).map(({ status, commandUuid }) => [status, commandUuid])
  return { conversant, said, suffered, confirmed, reports }
}

describe('a conversation', () => {
  it('begins with Idle, reports on each command in order, and ends with the empty answer', async () => {
    const { conversant, reports, confirmed } = device([command('1', 'ProfileList'), command('2', 'Nonsense')])
    await converse(conversant)
    expect(reports()).toEqual([['Idle', undefined], ['Acknowledged', '1'], ['CommandFormatError', '2']])
    expect(confirmed.map(({ commandUuid, requestType }) => [commandUuid, requestType]))
      .toEqual([['1', 'ProfileList'], ['2', 'Nonsense']])
  })

  it('begins the next time with the report that was lost, byte for byte, and executes nothing twice', async () => {
    const answers = [command('1', 'RestartDevice'), new Error('reset'), command('2', 'ProfileList')]
    const { conversant, said, reports, confirmed } = device(answers)
    await expect(converse(conversant)).rejects.toThrow('reset')
    expect(confirmed).toEqual([])
    await converse(conversant)
    expect(reports())
      .toEqual([['Idle', undefined], ['Acknowledged', '1'], ['Acknowledged', '1'], ['Acknowledged', '2']])
    expect(said[2]).toEqual(said[1])
    expect(conversant.memory.state.restarts).toBe(1)
    expect(conversant.memory.enrollment.pendingReport).toBeUndefined()
  })

  it('keeps a report that the server refused', async () => {
    const { conversant } = device([command('1', 'ProfileList'), { ...empty, status: 400 }])
    await expect(converse(conversant)).rejects.toThrow('status 400')
    expect(conversant.memory.enrollment.pendingReport?.executed.commandUuid).toBe('1')
  })

  it('ends with the device', async () => {
    const { conversant, reports, suffered } = device([command('1', 'EraseDevice'), command('2', 'ProfileList')])
    await converse(conversant)
    expect([reports().length, suffered]).toEqual([2, ['erase']])
  })

  it('says the last word once, heard or not', async () => {
    const { conversant, suffered, confirmed } = device([command('1', 'EraseDevice'), new Error('reset')])
    await converse(conversant)
    expect([suffered, confirmed, conversant.memory.enrollment.pendingReport]).toEqual([['erase'], [], undefined])
  })

  it('reports an enrollment profile that could not be taken over as an error', async () => {
    const { conversant, reports } = device([command('1', 'InstallProfile', { Payload: phone().enrollment.profileXml })])
    await converse(conversant)
    expect(reports()[1]).toEqual(['Error', '1'])
  })
})

describe('behaviours', () => {
  it('put off what iOS may put off, so many times', async () => {
    const answers = [command('1', 'SecurityInfo'), command('2', 'ProfileList'), command('3', 'SecurityInfo')]
    const { conversant, reports } = device(answers, { notNow: 1 })
    await converse(conversant)
    expect(reports().slice(1)).toEqual([['NotNow', '1'], ['Acknowledged', '2'], ['Acknowledged', '3']])
    expect(conversant.behaviour).toBe('answers')
  })

  it('fail a share of the commands, and do not carry them out', async () => {
    const failing = device([command('1', 'RestartDevice')], { errorRate: 0.6 })
    await converse(failing.conversant)
    expect([failing.reports()[1], failing.conversant.memory.state.restarts]).toEqual([['Error', '1'], 0])
    const working = device([command('1', 'RestartDevice')], { errorRate: 0.4 })
    await converse(working.conversant)
    expect(working.reports()[1]).toEqual(['Acknowledged', '1'])
  })

  it('can be overruled for one conversation', async () => {
    const { conversant, reports, suffered } = device([command('1', 'EraseDevice'), command('2', 'ProfileList')])
    await converse(conversant, 'CommandFormatError')
    expect(reports().slice(1)).toEqual([['CommandFormatError', '1'], ['CommandFormatError', '2']])
    expect(suffered).toEqual([])
  })
})

describe('a server', () => {
  it('must not hand out again what was put off in this conversation', async () => {
    const answers = [command('1', 'SecurityInfo'), command('1', 'SecurityInfo')]
    const { conversant } = device(answers, { notNow: 'until_unlocked' })
    await expect(converse(conversant)).rejects.toThrow('came again right after NotNow')
  })

  it.each([
    ['an empty dict', encodePlist({})],
    ['text', Buffer.from('hello')],
    ['an array', encodePlist([])],
  ])('must not answer with %s', (_what, body) => {
    expect(() => commandIn({ ...empty, body })).toThrow('an answer that is')
  })

  it('removes a device with 401, or with 403 and Apple’s code', async () => {
    const coded = Buffer.from('{"code":"com.apple.unrecognized.device"}')
    expect(removesDevice({ ...empty, status: 401 })).toBe(true)
    expect(removesDevice({ ...empty, status: 403, body: coded })).toBe(true)
    expect(removesDevice({ ...empty, status: 403 })).toBe(false)
    const { conversant, suffered } = device([{ ...empty, status: 403, body: coded }])
    await expect(converse(conversant)).rejects.toThrow('status 403')
    expect(suffered).toEqual(['removed_by_server'])
  })
})
