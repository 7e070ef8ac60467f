import type { Authenticate, CheckinMessage, CheckOut, DeclarativeManagement, TokenUpdate } from '../../apple/wire/checkin.ts'
import { encodePlist, type EncodableDict } from '../../apple/wire/plist-writer.ts'
import type { Certificate } from '../../apple/wire/x509.ts'
import type { Deps } from '../../base/deps.ts'
import type { AttemptId, DeviceId, EnrollmentId } from '../../base/ids.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import type { Work } from '../../base/work.ts'
import { bindCertificate, nameInWords, recordExtraCertificate, revokeAllOf, type Identity } from '../identity/index.ts'
import type { Said } from '../webhook/index.ts'
import { findPlace, findPlaceOfExtra } from './authenticate-place.ts'
import { getBootstrapToken, setBootstrapToken } from './bootstrap-token.ts'
import { getToken, returnToService } from './declined.ts'
import { userAuthenticate } from './network-users.ts'
import { platformOf } from './platform.ts'
import { renewIfNew } from './renew.ts'
import { boundDevice, findSpeaker, type Speaker } from './speaker.ts'
import * as store from './store.ts'
import { tellWebhook } from './tell.ts'
import { unlockTokenPlace } from './unlock-token.ts'

/** Declarative management has a room of its own. */
type Message = Exclude<CheckinMessage, DeclarativeManagement>

/** A handler returns the property list to answer with, if there is one. */
type Handlers = {
  [T in Message['MessageType']]: (
    deps: Deps, work: Work, speaker: Speaker, m: Extract<Message, { MessageType: T }>, identity: Identity,
  ) => Promise<EncodableDict | undefined>
}

/** Whether a device may come with this topic. */
export type KnownTopic = (work: Work, topic: string) => Promise<boolean>

const handlers: Handlers = {
  Authenticate: authenticate, TokenUpdate: tokenUpdate, CheckOut: checkOut, SetBootstrapToken: setBootstrapToken,
  GetBootstrapToken: getBootstrapToken, UserAuthenticate: userAuthenticate, GetToken: getToken, ReturnToService: returnToService,
}

/** What a check-in is answered with: a property list, or nothing at all; and who was here, once that is known. */
export interface CheckinAnswer {
  enrollment: EnrollmentId | undefined
  answer?: { contentType: string; body: Buffer }
}

/**
 * Takes one check-in message of a device whose identity was verified, as one unit of work. `knownTopic` says whether we
 * hold a push certificate of a topic; `said` is the request for the webhook. Throws DeviceRefused; then nothing is stored.
 */
export async function checkin(deps: Deps, identity: Identity, message: Message, said: Said, knownTopic: KnownTopic): Promise<CheckinAnswer> {
  return deps.work({ kind: 'device', id: message.channel.deviceKey }, async (work) => {
    // A newcomer from another server: unknown until it authenticates, and for every other message.
    if (identity.isExtra && message.MessageType === 'Authenticate') await recordExtraCertificate(work, identity.certificate)
    const speaker = await findSpeaker(work.tx, identity.certificate.sha256, message.channel)
    if ('Topic' in message && !(await knownTopic(work, message.Topic))) throw new DeviceRefused('topic_refused')
    const handle = handlers[message.MessageType] as (
      deps: Deps, work: Work, speaker: Speaker, m: Message, identity: Identity,
    ) => Promise<EncodableDict | undefined>
    const dict = await handle(deps, work, speaker, message, identity)
    await tellWebhook(deps, work, identity.certificate.sha256, { kind: 'checkin', channel: message.channel, messageType: message.MessageType }, said)
    return { enrollment: speaker.device?.id, ...(dict && { answer: { contentType: 'application/xml; charset=utf-8', body: encodePlist(dict) } }) }
  })
}

/** Apple: Authenticate begins an enrollment; everything kept for the one before it is forgotten (protocol.md 2.1). */
async function authenticate(_deps: Deps, work: Work, speaker: Speaker, m: Authenticate, identity: Identity): Promise<undefined> {
  if (speaker.device) return authenticateAgain(work, speaker, m)
  if (speaker.boundDeviceKey !== null && speaker.boundDeviceKey !== m.channel.deviceKey) throw new DeviceRefused('challenge_of_another_device')
  const deviceId = await store.upsertDevice(work, m, platformOf(m.ProductName ?? m.Model))
  const place = identity.isExtra ? await findPlaceOfExtra(work, deviceId) : await findPlace(work, deviceId, speaker)
  if (place.replaces) await endGeneration(work, place.replaces)
  const id = await store.insertGeneration(work, {
    deviceId, deviceKey: m.channel.deviceKey, state: place.state, certificateSha256: speaker.certificateSha256, attemptId: speaker.attemptId, topic: m.Topic,
  })
  await bindCertificate(work, speaker.certificateSha256, id)
  if (identity.isExtra) await reportAdopted(work, identity.certificate, { device: deviceId, enrollment: id })
  const attempt = speaker.attemptId as AttemptId | null
  await work.emit({ type: place.state === 'pending_approval' ? 'enrollment.held' : 'device.enrolling', device: deviceId, enrollment: id, attempt })
}

/** Tells whose certificate it is from now on, and who issued it. */
export async function reportAdopted(work: Work, certificate: Certificate, ids: { device: DeviceId; enrollment: EnrollmentId }): Promise<void> {
  const { serialNumber, issuer, sha256 } = certificate
  await work.emit({ type: 'certificate.adopted', ...ids, serial_number: serialNumber, issuer: nameInWords(issuer), sha256: sha256.toString('hex') })
}

/** Old certificate out at once, its commands end, its wake goes: never two valid generations. */
export async function endGeneration(work: Work, id: EnrollmentId): Promise<void> {
  const locked = await store.lock(work.tx, id)
  const ended = await store.end(work, id, 'unenrolled')
  await revokeAllOf(work, id, undefined, 'superseded')
  for (const enrollment of ended) await work.emit({ type: 'device.unenrolled', device: locked.device_id, enrollment, reason: 're-enrolled' })
}

async function authenticateAgain(work: Work, speaker: Speaker, m: Authenticate): Promise<undefined> {
  const device = boundDevice(speaker)
  const locked = await store.lock(work.tx, device.id)
  if (await renewIfNew(work, speaker, locked)) return
  if (locked.state === 'pending_approval') return
  if (locked.state !== 'enrolled' && locked.state !== 'identity_issued') throw new DeviceRefused('not_enrolled')
  await store.upsertDevice(work, m, platformOf(m.ProductName ?? m.Model))
  await store.reset(work.tx, device.id, m.Topic)
  for (const enrollment of await store.endUsers(work, device.id)) {
    await work.emit({ type: 'device.unenrolled', device: device.deviceId, enrollment, reason: 're-enrolled' })
  }
  await work.emit({ type: 'device.enrolling', device: device.deviceId, enrollment: device.id, attempt: speaker.attemptId as AttemptId | null })
}

async function tokenUpdate(deps: Deps, work: Work, speaker: Speaker, m: TokenUpdate): Promise<undefined> {
  const device = boundDevice(speaker)
  const locked = await store.lock(work.tx, device.id)
  await renewIfNew(work, speaker, locked)
  if (m.channel.channel === 'user') return userTokenUpdate(work, locked, m)
  if (!['identity_issued', 'enrolled', 'pending_approval'].includes(locked.state)) throw new DeviceRefused('not_enrolled')
  await store.setPushTarget(work, device.id, targetOf(deps, m, device.id))
  const ids = { device: device.deviceId, enrollment: device.id }
  await work.emit(locked.state === 'identity_issued' ? { type: 'device.enrolled', ...ids } : { type: 'device.token_updated', ...ids })
}

/** A user channel exists only while its device is enrolled; it has its own queue, token and magic. */
export async function userTokenUpdate(work: Work, device: store.Locked, m: TokenUpdate): Promise<undefined> {
  if (device.state !== 'enrolled') throw new DeviceRefused('not_enrolled')
  const user = await store.upsertUser(work, device.id, m.channel, m.Topic)
  const awaitingConfiguration = m.AwaitingConfiguration ?? false
  await store.setPushTarget(work, user.id, { topic: m.Topic, token: m.Token, pushMagic: m.PushMagic, sealedUnlockToken: null, awaitingConfiguration })
  const ids = { device: device.device_id, enrollment: user.id }
  await work.emit(user.before === 'enrolled' ? { type: 'device.token_updated', ...ids } : { type: 'device.enrolled', ...ids })
}

/** What a TokenUpdate says of where to push. */
export function targetOf(deps: Deps, m: TokenUpdate, id: EnrollmentId): store.PushTarget {
  const sealedUnlockToken = m.UnlockToken === undefined ? null : deps.vault.seal(m.UnlockToken, unlockTokenPlace(id))
  return { topic: m.Topic, token: m.Token, pushMagic: m.PushMagic, sealedUnlockToken, awaitingConfiguration: m.AwaitingConfiguration ?? false }
}

/** Best effort of the device and never repeated by it; said twice all the same, the second changes nothing. */
async function checkOut(_deps: Deps, work: Work, speaker: Speaker, m: CheckOut): Promise<undefined> {
  const device = boundDevice(speaker)
  const target = m.channel.channel === 'user' ? speaker.user?.id : device.id
  if (target === undefined) throw new DeviceRefused('not_enrolled')
  await renewIfNew(work, speaker, await store.lock(work.tx, device.id))
  for (const enrollment of await store.end(work, target, 'unenrolled')) {
    await work.emit({ type: 'device.unenrolled', device: device.deviceId, enrollment, reason: 'checked_out' })
  }
}
