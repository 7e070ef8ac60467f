import type { PushCertificateId } from '../../base/ids.ts'
import { Problem } from '../../base/problem.ts'
import type { Work } from '../../base/work.ts'
import { lockCertificates, tellOfChange } from './certificates.ts'

const FIND = { name: 'push_certificate_to_retire', text: 'select topic, default_for_new from push_certificates where id = $1' }

/** Devices that listen on a topic, held and blocked ones too, and phones that were given a profile with it and may still come. */
const DEPENDANTS = {
  name: 'push_retire_dependants',
  text: `select
      (select count(*)::int from enrollments where topic = $1 and channel = 'device'
        and state in ('identity_issued', 'pending_approval', 'enrolled', 'blocked')) as devices,
      (select count(*)::int from enrollment_attempts where topic = $1 and updated_at > now() - interval '1 day'
        and step in ('profile_delivered', 'identity_issued')) as coming`,
}

const DELETE = { name: 'push_certificate_delete', text: 'delete from push_certificates where id = $1' }

/**
 * Deletes a push certificate and its key for good. Throws `not_found`, and `push_certificate_in_use` while new enrollments get
 * its topic or devices depend on it, with their number.
 */
export async function retireCertificate(work: Work, id: PushCertificateId): Promise<void> {
  await lockCertificates(work)
  const [held] = await work.tx.rows<{ topic: string; default_for_new: boolean }>(FIND, [id])
  if (!held) throw new Problem('not_found', 'There is no such push certificate')
  const [found] = await work.tx.rows<{ devices: number; coming: number }>(DEPENDANTS, [held.topic])
  const { devices = 0, coming = 0 } = found ?? {}
  const reason = whyKept(held, devices, coming)
  if (reason !== undefined) throw new Problem('push_certificate_in_use', reason, { extra: { affected_devices: devices } })
  await work.tx.rows(DELETE, [id])
  await tellOfChange(work)
  await work.emit({ type: 'push_certificate.deleted', push_certificate: id, topic: held.topic })
}

function whyKept({ topic, default_for_new: isDefault }: { topic: string; default_for_new: boolean }, devices: number, coming: number): string | undefined {
  if (devices > 0) return `${devices} ${devices === 1 ? 'device depends' : 'devices depend'} on ${topic} and could not be reached again.`
  if (coming > 0) return `${coming} enrollment ${coming === 1 ? 'profile' : 'profiles'} with ${topic} went out within the last day.`
  return isDefault ? 'New enrollments get its topic. Upload another one with "keep_both": true first.' : undefined
}
