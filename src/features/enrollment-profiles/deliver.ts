import { createHash, randomUUID } from 'node:crypto'
import { isIP } from 'node:net'
import { enrollmentProfile } from '../../apple/wire/mobileconfig.ts'
import type { Deps } from '../../base/deps.ts'
import { newId, type AttemptId } from '../../base/ids.ts'
import { Problem } from '../../base/problem.ts'
import type { Work } from '../../base/work.ts'
import { mintChallenge, signProfile, type Authorities } from '../identity/index.ts'
import { checkinUrlOf, withCheckinRoot } from './checkin-address.ts'
import { insertAttempt } from './attempt-store.ts'
import { gone, stateOf, withLink } from './open-link.ts'
import type { PushTopics } from './push-topics.ts'
import { consentText } from './rights-in-words.ts'
import * as store from './store.ts'
import type { Link } from './store.ts'

/** A signed enrollment profile (`application/x-apple-aspen-config`) and the attempt it belongs to. */
export interface Delivery {
  profile: Buffer
  attemptId: AttemptId
}

/**
 * Delivers the profile of a link: one use, one attempt, one challenge, all or none of them. `trustRoots` are DER
 * certificates that the device shall trust, for a server whose TLS certificate does not end in a public root. Throws
 * `link_gone`, `rate_limited`, `push_unavailable` while there is no usable push certificate, and `checkin_unavailable`
 * while the link's check-in address is not configured; then nothing is counted.
 */
export async function deliverProfile(
  deps: Deps, authorities: Authorities, push: PushTopics, tokenOrCode: string, remoteAddress: string,
  trustRoots: readonly Buffer[],
): Promise<Delivery> {
  return withLink(deps, tokenOrCode, remoteAddress, async (found) => {
    const { xml, attemptId } = await deps.work({ kind: 'system' }, async (work) => {
      const target = await push.defaultTopic(work.tx)
      if (!target) throw new Problem('push_unavailable')
      const link = await takeUse(work, found, tokenOrCode)
      const checkinUrl = checkinUrlOf(deps.config, link)
      const roots = checkinUrl === undefined ? trustRoots : await withCheckinRoot(work.tx, trustRoots)
      const attempt = await begin(work, deps, link, { topic: target.topic, checkinUrl }, remoteAddress)
      // Made before the commit: a profile that cannot be made costs no use.
      return { attemptId: attempt.id, xml: profileOf(deps, authorities, link, attempt, roots) }
    })
    return { profile: signProfile(authorities, xml), attemptId }
  })
}

/**
 * The top-level PayloadIdentifier of this server's enrollment profiles: always the same, so that a newer one replaces
 * the older.
 */
export function profileIdentifier(publicUrl: URL): string {
  const host = publicUrl.hostname
  const isAddress = isIP(host.replace(/^\[|\]$/g, '')) !== 0
  if (!isAddress) return [...host.split('.').filter(Boolean).toReversed(), 'bramley.enrollment'].join('.')
  // An address is no domain; its digits backwards would claim one.
  return `com.bramley.enrollment.${createHash('sha256').update(host).digest('hex').slice(0, 16)}`
}

async function takeUse(work: Work, found: Link, tokenOrCode: string): Promise<Link> {
  const link = await store.use(work.tx, found.id)
  if (link) return link
  const now = await store.find(work.tx, found.id)
  const state = now && stateOf(now)
  throw gone(tokenOrCode, state === undefined || state === 'active' ? 'used_up' : state)
}

interface Told {
  topic: string
  checkinUrl: string | undefined
}

interface Begun extends Told {
  id: AttemptId
  challenge: string
}

async function begin(work: Work, deps: Deps, link: Link, told: Told, remoteAddress: string): Promise<Begun> {
  const id = newId('att')
  const { accessRights, deviceKey } = link
  const identifier = profileIdentifier(deps.config.publicUrl)
  const { topic, checkinUrl = null } = told
  const attempt = { id, linkId: link.id, profileIdentifier: identifier, topic, accessRights, deviceKey, checkinUrl, remoteAddress }
  await insertAttempt(work.tx, attempt, work.now)
  const challenge = await mintChallenge(work, deps.vault, { attemptId: id, deviceKey })
  await work.emit({ type: 'enrollment_link.used', link: link.id, attempt: id })
  return { id, ...told, challenge }
}

function profileOf(
  deps: Deps, authorities: Authorities, link: Link, attempt: Begun, trustRoots: readonly Buffer[],
): Buffer {
  const { organization, publicUrl } = deps.config
  return enrollmentProfile({
    identifier: profileIdentifier(publicUrl),
    uuid: newUuid(), mdmUuid: newUuid(), scepUuid: newUuid(),
    displayName: `${organization} device management`,
    organization,
    description: `Lets ${organization} manage this device.`,
    consentText: consentText(organization, link.accessRights),
    serverUrl: new URL('/mdm', publicUrl).href,
    checkInUrl: attempt.checkinUrl,
    topic: attempt.topic,
    accessRights: link.accessRights,
    // The first cannot be added by an update, and without it no Mac ever reports its users. Without the second none entrusts its
    // bootstrap token. `com.apple.mdm.token` would promise GetToken, which we decline.
    serverCapabilities: ['com.apple.mdm.per-user-connections', 'com.apple.mdm.bootstraptoken'],
    scep: {
      url: new URL('/scep', publicUrl).href,
      name: `${organization} device identity`,
      challenge: attempt.challenge,
      subject: [['O', organization], ['CN', attempt.id]],
      caFingerprint: caFingerprint(authorities),
    },
    trustRoots,
    removalDisallowed: link.removableByUser ? undefined : true,
  })
}

/**
 * SHA-1, although it is old: Apple tells the digest by its length and knows 20 (SHA-1) and 16 (MD5) bytes, every other
 * length fails the enrollment (SecSCEPValidateCACertMessage in Apple's open-source Security framework, SecSCEP.h). It
 * is compared with the root of the chain, so it is the CA's, not the RA's. TLS is what keeps GetCACert honest.
 */
function caFingerprint(authorities: Authorities): Buffer {
  return createHash('sha1').update(authorities.deviceCa.certificate.der).digest()
}

function newUuid(): string {
  return randomUUID().toUpperCase()
}
