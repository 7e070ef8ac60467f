import type { ChannelAddress } from '../../apple/wire/channel.ts'
import type { Deps } from '../../base/deps.ts'
import { DeviceRefused } from '../../base/refusal.ts'
import { bindCertificate, nameInWords, recordExtraCertificate, type Identity } from '../identity/index.ts'
import { findClaimable } from './imported.ts'
import { adoptCertificate } from './store.ts'

/**
 * Hears a device that may have been imported. An enrollment from another server comes without the certificate of its device: for
 * some time (BRAMLEY_MIGRATION_WINDOW) the first one of an extra CA that speaks for it becomes its own, in a unit of work before
 * the message. Only where the certificate would be refused as unknown, or would begin anew what was imported.
 */
export async function hear<T>(deps: Deps, identity: Identity, channel: ChannelAddress, begins: boolean, speak: () => Promise<T>): Promise<T> {
  if (!identity.isExtra) return speak()
  if (begins) await claimImported(deps, identity, channel)
  try {
    return await speak()
  } catch (error) {
    const unknown = error instanceof DeviceRefused && error.reason === 'unknown_certificate'
    if (!unknown || !(await claimImported(deps, identity, channel))) throw error
    return speak()
  }
}

/** Whether this certificate speaks for the imported enrollment now. Of two that come at once, one. */
async function claimImported(deps: Deps, { certificate }: Identity, channel: ChannelAddress): Promise<boolean> {
  return deps.work({ kind: 'device', id: channel.deviceKey }, async (work) => {
    const found = await findClaimable(work.tx, channel.deviceKey, deps.config.migrationWindowMs / 1_000)
    if (!found) return false
    if (found.certificate_sha256) return found.certificate_sha256.equals(certificate.sha256)
    await recordExtraCertificate(work, certificate)
    await bindCertificate(work, certificate.sha256, found.id)
    await adoptCertificate(work.tx, found.id, certificate.sha256)
    const { serialNumber, issuer, sha256 } = certificate
    await work.emit({
      type: 'certificate.adopted', device: found.device_id, enrollment: found.id, serial_number: serialNumber, issuer: nameInWords(issuer), sha256: sha256.toString('hex'),
    })
    return true
  })
}
