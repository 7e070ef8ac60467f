import type { Deps } from '../../base/deps.ts'
import { newId, type PushCertificateId } from '../../base/ids.ts'
import { Problem } from '../../base/problem.ts'
import { actorName, type Work } from '../../base/work.ts'
import { encodePem } from '../../apple/wire/pem.ts'
import type { ReadPushCertificate } from '../../apple/wire/push-certificate.ts'
import { keyPlace, lockCertificates, tellOfChange } from './certificates.ts'
import { checkTopic } from './topic-guard.ts'

/** What the administrator says besides the files. */
export interface UploadChoices {
  memo?: string | undefined
  simulated?: boolean
  /** Whether new enrollments get this topic. Unless said otherwise: a topic that comes new does, a renewed one stays what it was. */
  asDefault?: boolean
  /** Devices of another topic stay with theirs; this certificate is for new enrollments. */
  keepBoth?: boolean | undefined
}

/** The certificate of the same topic that is held already. */
interface Present {
  id: PushCertificateId
  version: number
  not_after: Date
  stopped_reason: string | null
  default_for_new: boolean
}

const FIND = { name: 'push_certificate_by_topic', text: 'select id, version, not_after, stopped_reason, default_for_new from push_certificates where topic = $1' }
const OTHER_DEFAULT = { name: 'push_certificate_other_default', text: 'select 1 from push_certificates where default_for_new and topic <> $1' }
const UNDEFAULT = { name: 'push_certificate_undefault', text: 'update push_certificates set default_for_new = false where topic <> $1 and default_for_new' }

const UPSERT = {
  name: 'push_certificate_upsert',
  text: `insert into push_certificates (id, topic, version, certificate_pem, sealed_key, sha256, serial_number, not_before, not_after, simulated,
      default_for_new, memo, uploaded_at, uploaded_by)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $14, $11, $12, $13)
    on conflict (topic) do update set version = excluded.version, certificate_pem = excluded.certificate_pem, sealed_key = excluded.sealed_key,
      sha256 = excluded.sha256, serial_number = excluded.serial_number, not_before = excluded.not_before, not_after = excluded.not_after,
      default_for_new = excluded.default_for_new, memo = coalesce(excluded.memo, push_certificates.memo), stopped_reason = null,
      uploaded_at = excluded.uploaded_at, uploaded_by = excluded.uploaded_by`,
}

/**
 * Stores a push certificate; a topic that is held already is renewed: everything else about it stays, and a stop ends. Every
 * process pushes with it within seconds. Refused, with nothing stored: one that is not valid now, one that ends before the one
 * it would replace, and one of another topic while enrolled devices depend on theirs (`push_topic_mismatch` with their
 * number), unless both are kept.
 */
export async function storeCertificate(deps: Deps, work: Work, read: ReadPushCertificate, choices: UploadChoices): Promise<PushCertificateId> {
  checkValidity(work, read)
  await lockCertificates(work)
  const [present] = await work.tx.rows<Present>(FIND, [read.topic])
  if (!choices.simulated) checkNewer(read, present)
  if (!present && !choices.keepBoth && !choices.simulated) await checkTopic(work, read.topic)
  const id = present?.id ?? newId('psh')
  const key = read.key.export({ format: 'pem', type: 'pkcs8' })
  const pem = [read.certificate, ...read.chain].map((certificate) => encodePem('CERTIFICATE', certificate.der)).join('')
  const { certificate } = read
  const asDefault = await becomesDefault(work, read.topic, present, choices)
  if (asDefault) await work.tx.rows(UNDEFAULT, [read.topic])
  await work.tx.rows(UPSERT, [
    id, read.topic, (present?.version ?? 0) + 1, pem, deps.vault.seal(Buffer.from(key), keyPlace(id)), certificate.sha256, certificate.serialNumber,
    certificate.notBefore, certificate.notAfter, choices.simulated ?? false, choices.memo ?? null, work.now, actorName(work.actor),
    asDefault,
  ])
  await tellOfChange(work)
  await work.emit({ type: 'push_certificate.uploaded', push_certificate: id, topic: read.topic })
  return id
}

async function becomesDefault(work: Work, topic: string, present: Present | undefined, { asDefault, keepBoth }: UploadChoices): Promise<boolean> {
  if (asDefault !== undefined) return asDefault
  if (!present || present.default_for_new || keepBoth) return true
  return (await work.tx.rows(OTHER_DEFAULT, [topic])).length === 0
}

function checkValidity(work: Work, { certificate }: ReadPushCertificate): void {
  if (certificate.notAfter <= work.now) refuse('expired', `it ended on ${certificate.notAfter.toISOString()}: renew it at identity.apple.com`)
  if (certificate.notBefore > work.now) refuse('not_yet_valid', `it begins on ${certificate.notBefore.toISOString()}`)
}

/** Last year's file is picked by mistake, and storing it would throw the new key away for ever. */
function checkNewer({ certificate }: ReadPushCertificate, present: Present | undefined): void {
  if (!present || present.stopped_reason !== null || certificate.notAfter >= present.not_after) return
  refuse('older', `it ends on ${certificate.notAfter.toISOString()}, before the one that is held (${present.not_after.toISOString()})`)
}

function refuse(code: string, detail: string): never {
  throw new Problem('push_certificate_refused', undefined, { errors: [{ pointer: '/certificate', code, detail }] })
}
