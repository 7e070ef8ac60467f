import { randomBytes, type KeyObject } from 'node:crypto'
import { verifyAttached } from '../apple/wire/cms.ts'
import { WireError } from '../apple/wire/error.ts'
import { readEnrollmentProfile, type EnrollmentProfile } from '../apple/wire/mobileconfig.ts'
import { freshSecrets, rememberProfile } from './check-in.ts'
import { SimulatedDevice, type DeviceOptions } from './device.ts'
import { rootsOf } from './device-link.ts'
import type { DeviceMemory, DeviceUser } from './device-memory.ts'
import { freshState, type StateChoices } from './device-state.ts'
import { EnrollmentRefused } from './enrollment-refused.ts'
import { makeHardware, randomSerialNumber, type Hardware } from './hardware.ts'
import { createHttpsClient, type HttpAnswer } from './https-client.ts'
import { MODELS, type DeviceModel } from './models.ts'
import { DEFAULT_PATIENCE, patiently } from './patience.ts'
import { peopleOf } from './people.ts'
import { makeKey, obtainIdentity, type Deliver } from './scep-identity.ts'

/**
 * Which device, and through which link: `link` is the token or typed code of an enrollment link at the server
 * `url`. What is not said of the device is the first model, and a random serial number. `key` saves the time of
 * making one (RSA).
 */
export interface EnrollOptions extends DeviceOptions, StateChoices {
  url: string
  link: string
  model?: DeviceModel | undefined
  serialNumber?: string | undefined
  udid?: string | undefined
  key?: KeyObject | undefined
  /** Who logs in after that, one after the other; left out, whoever a Mac or a Shared iPad would have. */
  users?: readonly DeviceUser[] | undefined
  /** Ends an enrollment that is not finished yet. */
  signal?: AbortSignal | undefined
}

/**
 * Enrolls a device as a person with a phone would: fetches the profile, gets an identity by SCEP, checks in, and
 * hears pushes; then its users log in. Rejects with EnrollmentRefused, or with the error of a connection that stays broken.
 */
export async function enrollDevice(o: EnrollOptions): Promise<SimulatedDevice> {
  const hardware = makeHardware(o.model ?? (MODELS[0] as DeviceModel), o.serialNumber ?? randomSerialNumber(), o.udid)
  const device = new SimulatedDevice(await prepare(o, hardware), o)
  const giveUp = () => device.link.close()
  o.signal?.addEventListener('abort', giveUp)
  try {
    o.signal?.throwIfAborted()
    await device.checkIn()
    for (const user of o.users ?? peopleOf(hardware, device.state)) await device.logIn(user)
    return device
  } catch (error) {
    await device.stop()
    throw error
  } finally {
    o.signal?.removeEventListener('abort', giveUp)
  }
}

// A person would give up too.
const ATTEMPTS = 3

/** Everything up to the first check-in. */
async function prepare(o: EnrollOptions, hardware: Hardware): Promise<DeviceMemory> {
  const profileXml = await ask(o, [], (deliver) => downloadProfile(deliver, o))
  const profile = readEnrollmentProfile(profileXml)
  const key = o.key ?? (await makeKey(profile.scep.keySize))
  const now = o.now?.() ?? new Date()
  const identity = await ask(o, profile.roots, (deliver) => obtainIdentity(deliver, profile.scep, key, now))
  const state = freshState(hardware, o)
  const pushToken = await pushTokenFor(profile, o)
  const secrets = freshSecrets({ hardware, state }, profile)
  const memory: DeviceMemory = {
    hardware, state, phase: 'enrolled', enrollment: { profileXml, profile, identity, pushToken, users: [], ...secrets },
  }
  rememberProfile(memory)
  return memory
}

async function ask<T>(
  o: EnrollOptions, roots: Buffer[], body: (deliver: Deliver) => Promise<T>,
): Promise<T> {
  const client = createHttpsClient(rootsOf(roots, o.ca))
  const patience = { ...DEFAULT_PATIENCE, ...o.patience }
  const bounded = { ...patience, attempts: Math.min(patience.attempts, ATTEMPTS) }
  try {
    const signal = o.signal ?? new AbortController().signal
    return await body((request) => patiently(() => client.send(request), bounded, signal))
  } finally {
    client.close()
  }
}

/**
 * The profile behind the link, its signature verified and taken off. Who signed it is not judged; iOS would show
 * that.
 */
async function downloadProfile(deliver: Deliver, { url, link }: EnrollOptions): Promise<Buffer> {
  const page = `${url.replace(/\/+$/, '')}/e/${encodeURIComponent(link)}`
  const answer = await deliver({ method: 'GET', url: `${page}/profile` })
  if (answer.status !== 200) throw new EnrollmentRefused('profile', answer.status, sentenceIn(answer))
  const type = answer.headers['content-type']
  if (!type?.startsWith('application/x-apple-aspen-config')) throw refused(`${type ?? 'nothing'} is no profile`)
  try {
    return verifyAttached(answer.body).content
  } catch (error) {
    throw error instanceof WireError ? refused(`its signature is bad (${error.message})`) : error
  }
}

function refused(why: string): EnrollmentRefused {
  return new EnrollmentRefused('profile', undefined, why)
}

/** What the page that refuses says to the person: its first paragraph. */
function sentenceIn({ headers, body }: HttpAnswer): string | undefined {
  if (!headers['content-type']?.startsWith('text/html')) return undefined
  return /<p>([^<]{1,300})<\/p>/.exec(body.toString())?.[1]
}

/** Without a push service any token will do: nobody ever pushes to it with success. */
function pushTokenFor(profile: EnrollmentProfile, { apns }: EnrollOptions): Promise<Buffer> {
  return apns ? apns.register(profile.topic) : Promise.resolve(randomBytes(32))
}
