import type { Authenticate, CheckinMessage, CheckOut, DeclarativeManagement, TokenUpdate } from '../../apple/wire/checkin.ts'
import { encodePlist, type EncodableDict } from '../../apple/wire/plist-writer.ts'
import type { Certificate } from '../../apple/wire/x509.ts'
import type { Deps } from '../../base/deps.ts'
import type { EnrollmentId } from '../../base/ids.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import type { Work } from '../../base/work.ts'
import { nudge, PUSH_NUDGE } from '../../base/nudge.ts'
import { nameInWords, recordExtraCertificate, type Identity } from '../identity/index.ts'
import type { Said } from '../webhook/index.ts'
import { findPlace, findPlaceOfExtra } from './authenticate-place.ts'
import { getBootstrapToken, setBootstrapToken } from './bootstrap-token.ts'
import { getToken, returnToService } from './declined.ts'
import { userAuthenticate } from './network-users.ts'
import { renewIfNew } from './renew.ts'
import { boundDevice, findSpeaker, type Speaker } from './speaker.ts'
import { speakingDevice } from './speaking.ts'
import * as store from './store.ts'
import { tellWebhook } from './tell.ts'
import { sealUnlockToken } from './unlock-token.ts'

/** Declarative management has a room of its own. */
type Message = Exclude<CheckinMessage, DeclarativeManagement>

/** A handler returns the property list to answer with, if there is one. */
type Handlers = {
  [T in Message['MessageType']]: (
    deps: Deps, work: Work, speaker: Speaker, m: Extract<Message, { MessageType: T }>, identity: Identity,
  ) => Promise<EncodableDict | undefined>
}

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
 * Takes one check-in message of a device whose identity was verified, as one unit of work: one statement that locks and tells
 * the facts, one that carries out what follows; two more for the webhook when there is one, which `said` is for. Throws DeviceRefused; then nothing is stored.
 */
export async function checkin(deps: Deps, identity: Identity, message: Message, said: Said): Promise<CheckinAnswer> {
  return deps.work({ kind: 'device', id: message.channel.deviceKey }, async (work) => {
    // A newcomer from another server: unknown until it authenticates, and for every other message.
    if (identity.isExtra && message.MessageType === 'Authenticate') await recordExtraCertificate(work, identity.certificate)
    const topic = 'Topic' in message ? message.Topic : undefined
    const speaker = await findSpeaker(work.tx, identity.certificate.sha256, message.channel, { topic })
    if (topic !== undefined && !isWelcome(speaker, identity)) throw new DeviceRefused('topic_refused')
    const handle = handlers[message.MessageType] as (
      deps: Deps, work: Work, speaker: Speaker, m: Message, identity: Identity,
    ) => Promise<EncodableDict | undefined>
    const dict = await handle(deps, work, speaker, message, identity)
    await tellWebhook(deps, work, message, { certificateSha256: identity.certificate.sha256, said })
    return { enrollment: speaker.device?.id, ...(dict && { answer: { contentType: 'application/xml; charset=utf-8', body: encodePlist(dict) } }) }
  })
}

/** A device of another server may bring its topic along while we hold none; its pushes wait for one (shared decision 5). */
function isWelcome({ topic }: Speaker, { isExtra }: Identity): boolean {
  return topic.known || (isExtra && !topic.any)
}

/** Apple: Authenticate begins an enrollment; everything kept for the one before it is forgotten (protocol.md 2.1). */
async function authenticate(_deps: Deps, work: Work, speaker: Speaker, m: Authenticate, identity: Identity): Promise<undefined> {
  if (speaker.device) return authenticateAgain(work, speaker, m)
  if (speaker.boundDeviceKey !== null && speaker.boundDeviceKey !== m.channel.deviceKey) throw new DeviceRefused('challenge_of_another_device')
  const place = identity.isExtra ? findPlaceOfExtra(speaker) : findPlace(speaker)
  await store.begin(work, m, speaker, { ...place, ...(identity.isExtra && { adopted: adoptedFrom(identity.certificate) }) })
}

function adoptedFrom({ serialNumber, issuer, sha256 }: Certificate): store.Adopted {
  return { serial_number: serialNumber, issuer: nameInWords(issuer), sha256: sha256.toString('hex') }
}

async function authenticateAgain(work: Work, speaker: Speaker, m: Authenticate): Promise<undefined> {
  const device = boundDevice(speaker)
  if (await renewIfNew(work, speaker)) return store.openRenewal(work.tx, device.id)
  // The answer to that was lost, and the device says it again.
  if (device.renewalOpen) return
  if (device.state === 'pending_approval') return
  if (device.state !== 'enrolled' && device.state !== 'identity_issued') throw new DeviceRefused('not_enrolled')
  await store.begin(work, m, speaker, { state: 'identity_issued', again: device.id })
}

/** A user channel exists only while its device is enrolled; it has its own queue, token and magic. */
async function tokenUpdate(deps: Deps, work: Work, speaker: Speaker, m: TokenUpdate): Promise<undefined> {
  const device = await speakingDevice(work, speaker)
  if (m.channel.channel === 'user' && device.state !== 'enrolled') throw new DeviceRefused('not_enrolled')
  if (await store.updateToken(work, device.id, m, sealUnlockToken(deps, m, device.id))) nudge(deps.db, PUSH_NUDGE)
}

/** Best effort of the device and never repeated by it; said twice all the same, the second changes nothing. */
async function checkOut(_deps: Deps, work: Work, speaker: Speaker, m: CheckOut): Promise<undefined> {
  const target = m.channel.channel === 'user' ? speaker.user?.id : boundDevice(speaker).id
  if (target === undefined) throw new DeviceRefused('not_enrolled')
  await renewIfNew(work, speaker)
  await store.endChannels(work, target, 'checked_out')
}
