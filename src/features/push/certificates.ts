import type { Tx } from '../../base/db.ts'
import type { PushCertificateId } from '../../base/ids.ts'
import type { Work } from '../../base/work.ts'

/** A push certificate as senders use it. */
export interface HeldCertificate {
  id: PushCertificateId
  topic: string
  version: number
  certificate_pem: string
  sealed_key: Buffer
  simulated: boolean
}

const USABLE = {
  name: 'push_certificates_usable',
  text: `select id, topic, version, certificate_pem, sealed_key, simulated from push_certificates where stopped_reason is null and not_after > now()`,
}

/** The certificates that pushes may go out with. */
export async function findUsable(tx: Tx): Promise<HeldCertificate[]> {
  return tx.rows<HeldCertificate>(USABLE, [])
}

const EXPIRY = { name: 'push_certificate_expiry', text: 'select not_after from push_certificates where topic = $1' }

/** When the certificate of a topic ends; undefined when none is held. */
export async function findExpiry(tx: Tx, topic: string): Promise<Date | undefined> {
  return (await tx.rows<{ not_after: Date }>(EXPIRY, [topic]))[0]?.not_after
}

const KNOWN = { name: 'push_topic_known', text: 'select 1 from push_certificates where topic = $1' }

/** Whether we hold a certificate of this topic, expired or not: an expired one still names our devices. */
export async function isKnownTopic(work: Pick<Work, 'tx'>, topic: string): Promise<boolean> {
  return (await work.tx.rows(KNOWN, [topic])).length > 0
}

const ANY = { name: 'push_certificates_any', text: 'select 1 from push_certificates limit 1' }

/** Whether we hold any push certificate, expired or not. */
export async function holdsAnyTopic(work: Pick<Work, 'tx'>): Promise<boolean> {
  return (await work.tx.rows(ANY, [])).length > 0
}

const DEFAULT = {
  name: 'push_topic_default',
  text: 'select topic, simulated from push_certificates where default_for_new and not_after > now() and stopped_reason is null',
}

/** The topic that new enrollments get; undefined while no usable certificate is held. */
export async function defaultTopic(tx: Tx): Promise<{ topic: string; simulated: boolean } | undefined> {
  return (await tx.rows<{ topic: string; simulated: boolean }>(DEFAULT, []))[0]
}

const STOP = {
  name: 'push_certificate_stop',
  text: 'update push_certificates set stopped_reason = $3 where id = $1 and version = $2 and stopped_reason is null returning id',
}

const LOCK = { name: 'push_certificates_lock', text: 'select pg_advisory_xact_lock(1886745448)' }

/** Makes administrators' changes of push certificates one after the other; pushes and devices do not wait for it. */
export async function lockCertificates(work: Work): Promise<void> {
  await work.tx.rows(LOCK, [])
}

/** The channel on which every process hears that a certificate was uploaded, deleted or stopped; a lost message costs five seconds. */
export const CHANGED = 'bramley_push_certificates'

const NOTIFY = { name: 'push_certificates_notify', text: `select pg_notify('${CHANGED}', '')` }

/** Tells all processes, once this work is committed, that the usable certificates are others now. */
export async function tellOfChange(work: Work): Promise<void> {
  await work.tx.rows(NOTIFY, [])
}

/** Apple refuses this certificate: nothing more is sent with it until one is uploaded. */
export async function stopTopic(work: Work, { id, version, topic }: Pick<HeldCertificate, 'id' | 'version' | 'topic'>, reason: string): Promise<void> {
  const stopped = await work.tx.rows(STOP, [id, version, reason])
  if (stopped.length === 0) return
  await tellOfChange(work)
  await work.emit({ type: 'push.topic_broken', topic, reason })
}

/** The vault's place of a push key. */
export function keyPlace(id: string): string {
  return `push_certificates.sealed_key:${id}`
}
