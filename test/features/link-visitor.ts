import { verifyAttached } from '../../src/apple/wire/cms.ts'
import { readEnrollmentProfile, type EnrollmentProfile } from '../../src/apple/wire/mobileconfig.ts'
import {
  createLink,
  deliverProfile,
  type Delivery,
  type Link,
  type LinkInput,
  type PushTopics,
} from '../../src/features/enrollment-profiles/index.ts'
import { openSecrets } from '../../src/features/enrollment-profiles/secrets.ts'
import { freshAddress, type House } from './scep-device.ts'

export const TOPIC = 'com.apple.mgmt.External.11111111-2222-3333-4444-555555555555'
export const push: PushTopics = { defaultTopic: () => Promise.resolve({ topic: TOPIC }) }
export const noPush: PushTopics = { defaultTopic: () => Promise.resolve(undefined) }

/** A link and what opens it. */
export async function makeLink(
  { deps }: House,
  input: Partial<LinkInput> = {},
): Promise<{ link: Link; token: string; code: string }> {
  const link = await deps.work({ kind: 'system' }, (work) => createLink(work, deps, { name: 'Test', ...input }))
  return { link, ...openSecrets(deps.vault, link.id, link.sealedSecrets) }
}

/** Fetches a profile; from an address of its own when none is given. */
export function deliver(
  house: House,
  secret: string,
  o: { push?: PushTopics; address?: string; roots?: Buffer[] } = {},
): Promise<Delivery> {
  const { push: topics = push, address = freshAddress(), roots = [] } = o
  return deliverProfile(house.deps, house.authorities, topics, secret, address, roots)
}

/** What a phone reads in a delivered profile. */
export const contentOf = (delivery: Delivery): EnrollmentProfile =>
  readEnrollmentProfile(verifyAttached(delivery.profile).content)
