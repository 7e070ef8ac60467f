import { setTimeout as delay } from 'node:timers/promises'
import { WireError } from '../apple/wire/error.ts'
import { decodePlist, plistDict, type PlistDict } from '../apple/wire/plist.ts'
import { isPlistDict } from '../apple/wire/plist-value.ts'
import { failed, stringOf, type Answer } from './answer.ts'
import { answerCommand } from './answers.ts'
import { afterNotNow, delayOf, errorRateOf, putsOff, type Behaviour } from './behaviour.ts'
import type { DeviceLink } from './device-link.ts'
import type { Channel, DeviceMemory, Executed, UserChannel } from './device-memory.ts'
import { errorItem } from './error-chain.ts'
import type { HttpAnswer } from './https-client.ts'
import { idleMessage, REPORT_TYPE, reportMessage } from './messages.ts'

/** The device as its conversations see it, on its own channel or, with `user`, on that of one of its users. */
export interface Conversant {
  readonly memory: DeviceMemory
  readonly user?: UserChannel | undefined
  readonly link: DeviceLink
  readonly signal: AbortSignal
  behaviour: Behaviour
  now(): Date
  /** A number from 0 to 1, for `errorRate`. */
  random(): number
  /** Called once for each report that the server has confirmed. */
  confirmed(executed: Executed): void
  /** Takes over a newer enrollment profile, a new identity included. */
  updateEnrollment(profileXml: Buffer): Promise<void>
  /** What a command did to the device itself. */
  suffer(what: Fate): Promise<void>
}

/** What can become of a device. */
export type Fate = 'erase' | 'unenroll' | 'power_off' | 'log_out' | 'removed_by_server'

/** A command as it was handed out. */
export interface HandedOut {
  commandUuid: string
  requestType: string
  command: PlistDict
}

/**
 * The server answered a device with a status that means no. The report, if it was one, is kept and sent again next
 * time.
 */
export class ServerRefused extends Error {
  override readonly name = 'ServerRefused'
  readonly status: number

  constructor(status: number) {
    super(`the server answered with status ${status}`)
    this.status = status
  }
}

/** The server broke a rule of the protocol. */
export class ServerMisbehaved extends Error {
  override readonly name = 'ServerMisbehaved'
}

/**
 * One conversation, as after a push: says Idle (or the report that is still owed), carries out what it is given,
 * reports, and goes on until the server has nothing more. With `always` every command gets this status and is not
 * carried out. Rejects with ServerRefused, ServerMisbehaved, Offline, or the connection's error once patience is
 * used up.
 */
export async function converse(device: Conversant, always?: Answer['status']): Promise<Executed[]> {
  const { memory } = device
  const done: Executed[] = []
  const putOff = new Set<string>()
  const channel = channelOf(device)
  let handed = await (channel.pendingReport ? sendReport(device) : say(device, idleMessage(memory, device.user?.user)))
  while (handed && memory.phase === 'enrolled') {
    if (putOff.has(handed.commandUuid)) throw new ServerMisbehaved('a command came again right after NotNow')
    const answer = always ? forced(always) : await execute(device, handed)
    const { commandUuid, requestType } = handed
    const executed = { commandUuid, requestType, status: answer.status, at: device.now() }
    if (answer.status === 'NotNow') putOff.add(commandUuid)
    done.push(executed)
    channel.pendingReport = { body: reportMessage(memory, commandUuid, answer, device.user?.user), executed }
    handed = await conclude(device, answer)
  }
  return done
}

/** The command in an answer of the server, undefined when there is none. Throws ServerRefused and ServerMisbehaved. */
export function commandIn({ status, body }: HttpAnswer): HandedOut | undefined {
  if (status !== 200) throw new ServerRefused(status)
  if (body.length === 0) return undefined
  const { CommandUUID: commandUuid, Command: command } = readDict(body)
  if (typeof commandUuid !== 'string' || !isPlistDict(command)) {
    throw new ServerMisbehaved('an answer that is neither empty nor a command')
  }
  return { commandUuid, requestType: stringOf(command['RequestType']) ?? '', command }
}

/** Whether the server wants this device gone: 401, or 403 with Apple's code for it (iOS 17). */
export function removesDevice({ status, body }: HttpAnswer): boolean {
  return status === 401 || (status === 403 && body.includes('com.apple.unrecognized.device'))
}

function channelOf({ memory, user }: Conversant): Channel {
  return user ?? memory.enrollment
}

async function say(device: Conversant, body: Buffer): Promise<HandedOut | undefined> {
  const answer = await device.link.deliver(body, REPORT_TYPE)
  if (removesDevice(answer)) await device.suffer('removed_by_server')
  return commandIn(answer)
}

async function sendReport(device: Conversant): Promise<HandedOut | undefined> {
  const channel = channelOf(device)
  const pending = channel.pendingReport
  if (!pending) return undefined
  const next = await say(device, pending.body)
  delete channel.pendingReport
  device.confirmed(pending.executed)
  return next
}

async function execute(device: Conversant, { requestType, command }: HandedOut): Promise<Answer> {
  const { behaviour } = device
  const pause = delayOf(behaviour)
  if (pause > 0) await delay(pause, undefined, { signal: device.signal })
  if (putsOff(behaviour, requestType, device.memory.hardware.model.platform)) {
    device.behaviour = afterNotNow(behaviour)
    return { status: 'NotNow' }
  }
  if (device.random() < errorRateOf(behaviour)) return forced('Error')
  const answer = answerCommand(device.memory, command, device.now(), device.user)
  const { consequence } = answer
  return consequence?.kind === 'update_enrollment' ? update(device, answer, consequence.profileXml) : answer
}

async function update(device: Conversant, answer: Answer, profileXml: Buffer): Promise<Answer> {
  try {
    await device.updateEnrollment(profileXml)
    return answer
  } catch (error) {
    if (device.signal.aborted) throw error
    const reason = error instanceof Error ? error.message : String(error)
    return failed(
      errorItem('MCInstallationErrorDomain', 4001, 'Profile Installation Failed'),
      errorItem('MCMDMErrorDomain', 12002, reason),
    )
  }
}

/** Reports, and lets happen what the command did to the device itself. */
async function conclude(device: Conversant, { consequence }: Answer): Promise<HandedOut | undefined> {
  if (consequence?.kind === 'log_out') await device.suffer('log_out')
  if (!consequence || consequence.kind === 'update_enrollment' || consequence.kind === 'log_out') return sendReport(device)
  // Said once: a device that is gone repeats nothing.
  const channel = channelOf(device)
  const pending = channel.pendingReport
  delete channel.pendingReport
  if (pending) {
    const answer = await device.link.put(pending.body, REPORT_TYPE).catch(() => undefined)
    if (answer?.status === 200) device.confirmed(pending.executed)
  }
  await device.suffer(consequence.kind)
  return undefined
}

function forced(status: Answer['status']): Answer {
  if (status === 'Acknowledged' || status === 'NotNow') return { status }
  return { status, errorChain: [errorItem('MCMDMErrorDomain', 12010, 'An internal inconsistency occurred.')] }
}

function readDict(body: Buffer): PlistDict {
  try {
    return plistDict(decodePlist(body))
  } catch (error) {
    if (error instanceof WireError) throw new ServerMisbehaved(`an answer that is no property list (${error.message})`)
    throw error
  }
}
