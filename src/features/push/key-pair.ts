import type { Deps } from '../../base/deps.ts'
import { keyPlace } from './certificates.ts'

const HELD = { name: 'push_key_pair', text: 'select id, certificate_pem, sealed_key from push_certificates where topic = $1 and not simulated' }

/** The push certificate of a topic (with its chain) and its key, to prove to Apple who we are; undefined when none is held. */
export async function openKeyPair({ db, vault }: Pick<Deps, 'db' | 'vault'>, topic: string): Promise<{ certificatePem: string; keyPem: string } | undefined> {
  const [row] = await db.read.rows<{ id: string; certificate_pem: string; sealed_key: Buffer }>(HELD, [topic])
  return row && { certificatePem: row.certificate_pem, keyPem: vault.open(row.sealed_key, keyPlace(row.id)).toString() }
}
