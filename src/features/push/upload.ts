import type { Deps } from '../../base/deps.ts'
import { newId, type PushCertificateId } from '../../base/ids.ts'
import { Problem } from '../../base/problem.ts'
import { actorName, type Work } from '../../base/work.ts'
import { encodePem } from '../../apple/wire/pem.ts'
import type { ReadPushCertificate } from '../../apple/wire/push-certificate.ts'
import { keyPlace } from './certificates.ts'

/** What the administrator says besides the files. */
export interface UploadChoices {
  memo?: string | undefined
  simulated?: boolean
  /** Whether new enrollments get this topic; yes unless said otherwise. */
  asDefault?: boolean
  /** Devices of another topic stay with theirs; this certificate is for new enrollments. */
  keepBoth?: boolean | undefined
}

const LOCK = { name: 'push_upload_lock', text: `select pg_advisory_xact_lock(1886745448)` }

const DEPENDANTS = {
  name: 'push_dependants',
  text: `select count(*)::int as count, min(e.topic) as topic from enrollments e join push_certificates p on p.topic = e.topic
    where e.state = 'enrolled' and e.channel = 'device' and e.topic <> $1 and not p.simulated`,
}

const FIND = { name: 'push_certificate_by_topic', text: 'select id, version from push_certificates where topic = $1' }
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
 * Stores a push certificate; the same topic again renews it. Refuses one that is not valid now, and one of another topic while
 * enrolled devices depend on theirs (`push_topic_mismatch` with their number), unless both are kept.
 */
export async function storeCertificate(deps: Deps, work: Work, read: ReadPushCertificate, choices: UploadChoices): Promise<PushCertificateId> {
  checkValidity(work, read)
  await work.tx.rows(LOCK, [])
  if (!choices.keepBoth && !choices.simulated) await checkTopic(work, read.topic)
  const [present] = await work.tx.rows<{ id: PushCertificateId; version: number }>(FIND, [read.topic])
  const id = present?.id ?? newId('psh')
  const key = read.key.export({ format: 'pem', type: 'pkcs8' })
  const pem = [read.certificate, ...read.chain].map((certificate) => encodePem('CERTIFICATE', certificate.der)).join('')
  const { certificate } = read
  const asDefault = choices.asDefault ?? true
  if (asDefault) await work.tx.rows(UNDEFAULT, [read.topic])
  await work.tx.rows(UPSERT, [
    id, read.topic, (present?.version ?? 0) + 1, pem, deps.vault.seal(Buffer.from(key), keyPlace(id)), certificate.sha256, certificate.serialNumber,
    certificate.notBefore, certificate.notAfter, choices.simulated ?? false, choices.memo ?? null, work.now, actorName(work.actor),
    asDefault,
  ])
  await work.emit({ type: 'push_certificate.uploaded', push_certificate: id, topic: read.topic })
  return id
}

function checkValidity(work: Work, { certificate }: ReadPushCertificate): void {
  if (certificate.notAfter <= work.now) refuse('expired', `it ended on ${certificate.notAfter.toISOString()}: renew it at identity.apple.com`)
  if (certificate.notBefore > work.now) refuse('not_yet_valid', `it begins on ${certificate.notBefore.toISOString()}`)
}

function refuse(code: string, detail: string): never {
  throw new Problem('push_certificate_refused', undefined, { errors: [{ pointer: '/certificate', code, detail }] })
}

async function checkTopic(work: Work, topic: string): Promise<void> {
  const [dependants] = await work.tx.rows<{ count: number; topic: string | null }>(DEPENDANTS, [topic])
  if (!dependants?.topic || dependants.count === 0) return
  const detail = `${dependants.count} enrolled devices use ${dependants.topic}. The uploaded certificate is for ${topic}.`
  throw new Problem('push_topic_mismatch', detail, {
    errors: [{ pointer: '/certificate', code: 'topic', detail: 'UID differs from the certificate that devices depend on' }],
    extra: { affected_devices: dependants.count, confirm: { field: 'keep_both', value: true } },
  })
}
