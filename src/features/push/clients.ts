import { connectApns, type ApnsClient } from '../../apple/cloud/apns.ts'
import type { Deps } from '../../base/deps.ts'
import { findUsable, keyPlace, type HeldCertificate } from './certificates.ts'
import { paced } from './pace.ts'

/** Where pushes of a certificate go: Apple, or the simulator's stand-in. */
export type ApnsAddress = (certificate: { simulated: boolean }) => { host: string; port: number; ca?: string } | undefined

export interface Client {
  apns: ApnsClient
  topic: string
  version: number
  simulated: boolean
}

/** The open connections to APNs of this process, one for each topic; renewed when the certificate's version in the database moved. */
export interface Clients {
  /** Brings the connections up to date with the database and returns them by topic. */
  refresh(): Promise<Map<string, Client>>
  /** Waits for the turn to push: all senders of this process together keep to BRAMLEY_PUSH_RATE. */
  pace(): Promise<void>
  close(): Promise<void>
}

/** Connections over what `address` names; a certificate without an address (the stand-in is off) gets none. */
export function openClients(deps: Pick<Deps, 'db' | 'vault' | 'config'>, address: ApnsAddress): Clients {
  const open = new Map<string, Client>()

  async function refresh(): Promise<Map<string, Client>> {
    const usable = await findUsable(deps.db.read)
    const keep = new Set(usable.map((held) => held.topic))
    for (const [topic, client] of open) if (!keep.has(topic)) drop(topic, client)
    for (const held of usable) renew(held)
    return open
  }

  function renew(held: HeldCertificate): void {
    const present = open.get(held.topic)
    // Of two callers at the same moment the one with the older answer must not bring the older certificate back.
    if (present && present.version >= held.version) return
    if (present) drop(held.topic, present)
    const to = address(held)
    if (!to) return
    const keyPem = deps.vault.open(held.sealed_key, keyPlace(held.id)).toString()
    open.set(held.topic, { apns: connectApns({ ...to, certificatePem: held.certificate_pem, keyPem }), topic: held.topic, version: held.version, simulated: held.simulated })
  }

  function drop(topic: string, client: Client): void {
    open.delete(topic)
    void client.apns.close()
  }

  return { refresh, pace: paced(deps.config.pushRate), close: async () => void (await Promise.all([...open.values()].map((client) => client.apns.close()))) }
}
