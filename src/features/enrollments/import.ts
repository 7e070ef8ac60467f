import type { Authenticate, CheckinMessage, CheckOut, SetBootstrapToken, TokenUpdate } from '../../apple/wire/checkin.ts'
import type { Deps } from '../../base/deps.ts'
import { Problem } from '../../base/problem.ts'
import type { Work } from '../../base/work.ts'
import { keepBootstrapToken } from './bootstrap-token.ts'
import * as imported from './imported.ts'
import type { Imported } from './imported.ts'
import * as store from './store.ts'
import { sealUnlockToken } from './unlock-token.ts'

/** Whether a device may come with this topic. */
export type KnownTopic = (work: Work, topic: string) => Promise<boolean>

/**
 * Takes one check-in message of a device that another server managed, from an administrator instead of the device, with the
 * effects it has from a device. It touches only what came this way: an enrollment that a device has opened or spoken for is never
 * changed (Problem `not_importable`, nothing stored). Messages that bring nothing along are accepted and do nothing.
 */
export async function importCheckin(deps: Deps, work: Work, message: CheckinMessage, knownTopic: KnownTopic): Promise<void> {
  if ('Topic' in message && !(await knownTopic(work, message.Topic))) {
    throw refusal(`There is no push certificate of ${message.Topic}: upload the other server's first`)
  }
  switch (message.MessageType) {
    case 'Authenticate': return authenticate(work, message)
    case 'TokenUpdate': return tokenUpdate(deps, work, message)
    case 'SetBootstrapToken': return setBootstrapToken(deps, work, message)
    case 'CheckOut': return checkOut(work, message)
    default: return undefined
  }
}

/** Begins an enrollment that nobody has proven to be; said again, it begins anew while that is still so. */
async function authenticate(work: Work, m: Authenticate): Promise<void> {
  // An Authenticate of the device itself comes before or after, not between.
  await imported.lockNewcomers(work.tx, m.channel.deviceKey)
  const standing = await imported.findStanding(work.tx, m.channel.deviceKey)
  if (standing.some((one) => !one.unclaimed)) throw refusal('This device is enrolled here already')
  const [before] = standing
  const nobody = { certificateSha256: null, attemptId: null }
  const id = await store.begin(work, m, nobody, { state: 'identity_issued', ...(before && { again: before.id }) })
  const device = await imported.mark(work, id)
  await work.emit({ type: 'enrollment.imported', device, enrollment: id })
}

async function tokenUpdate(deps: Deps, work: Work, m: TokenUpdate): Promise<void> {
  const device = await getImported(work, m.channel.deviceKey)
  if (m.channel.channel === 'user') return importUser(work, device, m)
  if (!device.unclaimed) throw refusal('This device is enrolled here already')
  await store.updateToken(work, device.id, m, sealUnlockToken(deps, m, device.id))
}

/** Tools send users after all devices: the device may have come meanwhile. What it has told of itself since then stands. */
async function importUser(work: Work, device: Imported, m: TokenUpdate): Promise<void> {
  if (device.state !== 'enrolled') throw refusal('Send the TokenUpdate of its device first')
  if (!device.unclaimed && (await imported.hasUser(work.tx, device.id, m.channel.userKey))) throw refusal('This user is enrolled here already')
  await store.lock(work.tx, device.id)
  await store.updateToken(work, device.id, m, null)
}

async function setBootstrapToken(deps: Deps, work: Work, m: SetBootstrapToken): Promise<void> {
  const device = await getImported(work, m.channel.deviceKey)
  if (!device.unclaimed && device.has_bootstrap_token) throw refusal('This device has entrusted a bootstrap token here already')
  await keepBootstrapToken(deps, work, { id: device.id, deviceId: device.device_id }, m)
}

async function checkOut(work: Work, m: CheckOut): Promise<void> {
  const device = await getImported(work, m.channel.deviceKey)
  if (!device.unclaimed) throw refusal('This device is enrolled here already')
  const target = m.channel.channel === 'device' ? device.id : await imported.findUser(work.tx, device.id, m.channel.userKey)
  if (target === undefined) return
  await store.endChannels(work, target, 'checked_out')
}

/** The enrollment that was imported for a device, under its lock. */
async function getImported(work: Work, deviceKey: string): Promise<Imported> {
  const standing = await imported.findStanding(work.tx, deviceKey)
  const device = standing.find((one) => one.imported)
  if (!device) throw refusal(standing.length > 0 ? 'This device is enrolled here already' : 'Send the Authenticate of this device first')
  return device
}

function refusal(detail: string): Problem {
  return new Problem('not_importable', detail)
}
