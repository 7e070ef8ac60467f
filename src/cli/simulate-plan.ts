import { InvalidArgumentError } from 'commander'
import { existsSync, readFileSync } from 'node:fs'
import { durationMs } from '../base/duration.ts'
import { parseListen } from '../base/listen-address.ts'
import { Problem } from '../base/problem.ts'
import {
  BEHAVIOUR_FORMS, DEVICE_KINDS, parseBehaviour, type Behaviour, type DeviceKind, type FleetOptions,
} from '../simulator/index.ts'

/** So many devices of one kind; without a number as many as `--count` says. */
export interface PlatformWish {
  kind: DeviceKind
  count?: number
}

/** What stands on the command line, each value already read. */
export interface SimulateOptions {
  url?: string
  link: string
  count: number
  caFile?: string
  apns: { host: string; port: number }
  apnsCa?: string
  behaviour?: Behaviour
  supervised?: boolean
  platform: PlatformWish[]
  for?: number
  untilCommands?: number
  timeout?: number
}

/**
 * The fleet to start, and when the run ends: after a time, after so many commands of every device, or never by
 * itself.
 */
export interface SimulatePlan {
  fleet: FleetOptions
  end: { afterMs?: number | undefined; afterCommands?: number | undefined; timeoutMs?: number | undefined }
  /** To be told before it starts. */
  warnings: string[]
}

/** So often a Shared iPad changes hands. */
const SHIFT_MS = 60_000

const DEFAULT_URL = 'https://localhost:8443'
/** Where a server that was started in this folder leaves its roots. */
export const DEFAULT_CA = './data/tls/ca.pem'
export const DEFAULT_APNS_CA = './data/simulator/apns/ca.pem'

/**
 * Makes a plan of the options and the certificates they name. Throws an Error with one clear line for a file that
 * is missing.
 */
export function planSimulation(o: SimulateOptions): SimulatePlan {
  const apnsCa = readPem(o.apnsCa, DEFAULT_APNS_CA)
  const kinds = o.platform.flatMap(({ kind, count = o.count }) => Array.from({ length: count }, () => kind))
  return {
    fleet: {
      ...placeOf(o),
      count: kinds.length,
      kinds,
      shiftMs: SHIFT_MS,
      ca: readPem(o.caFile, DEFAULT_CA),
      apns: apnsCa === undefined ? undefined : { ...o.apns, ca: apnsCa },
      behaviour: o.behaviour,
      supervised: o.supervised,
    },
    end: { afterMs: o.for, afterCommands: o.untilCommands, timeoutMs: o.timeout },
    warnings: apnsCa === undefined
      ? [`there is no ${DEFAULT_APNS_CA} and no --apns-ca: the devices enroll, but no push will reach them`]
      : [],
  }
}

/** Token, typed code, or the whole address of a link, which then also says where the server is. */
function placeOf({ url, link }: SimulateOptions): { url: string; link: string } {
  const [, origin, secret] = /^(https:\/\/[^/]+)\/e\/([^/]+)/.exec(link) ?? []
  return { url: url ?? origin ?? DEFAULT_URL, link: secret ?? link }
}

function readPem(given: string | undefined, fallback: string): string | undefined {
  if (given === undefined) return existsSync(fallback) ? readFileSync(fallback, 'utf8') : undefined
  if (!existsSync(given)) throw new Error(`there is no file ${given}`)
  return readFileSync(given, 'utf8')
}

/** Reads a whole number of at least 1. */
export function parseCount(text: string): number {
  const count = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (count < 1) throw new InvalidArgumentError('It must be a whole number from 1 to 999999.')
  return count
}

/** Reads `iphone`, `mac:2`, `iphone:3,appletv`. */
export function parsePlatforms(text: string): PlatformWish[] {
  return text.split(',').map((part) => {
    const [name, number, ...rest] = part.trim().split(':')
    const kind = DEVICE_KINDS.find((known) => known === name)
    if (!kind || rest.length > 0) throw new InvalidArgumentError(`It must be one of ${DEVICE_KINDS.join(', ')}, or several as in iphone:3,mac:2.`)
    return number === undefined ? { kind } : { kind, count: parseCount(number) }
  })
}

/** Reads `host:port`. */
export function parseAddress(text: string): { host: string; port: number } {
  const address = parseListen(text)
  if (address.port < 1 || address.host === '') throw new InvalidArgumentError('It must look like 127.0.0.1:2197.')
  return address
}

/** Reads an address of a server. */
export function parseServerUrl(text: string): string {
  if (URL.canParse(text) && text.startsWith('https://')) return text
  throw new InvalidArgumentError('It must begin with https://.')
}

// Timers hold 31 bits of milliseconds; a longer one would end at once.
const LONGEST_MS = 24 * 86_400_000

/** Reads `30s`, `5m`, `2h` as milliseconds, at most 24 days. */
export function parseDuration(text: string): number {
  const ms = durationOrNaN(text)
  if (ms <= LONGEST_MS) return ms
  throw new InvalidArgumentError('It must look like 30s, 5m or 2h, and be 24d at most.')
}

function durationOrNaN(text: string): number {
  try {
    return durationMs(text, '')
  } catch (error) {
    if (error instanceof Problem) return NaN
    throw error
  }
}

/** Reads a behaviour as the help shows it. */
export function parseBehaviourOption(text: string): Behaviour {
  const behaviour = parseBehaviour(text)
  if (behaviour === undefined) throw new InvalidArgumentError(`It must be one of ${BEHAVIOUR_FORMS.join(', ')}.`)
  return behaviour
}
