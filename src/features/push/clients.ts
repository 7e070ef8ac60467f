import { connectApns, type ApnsClient } from '../../apple/cloud/apns.ts'
import type { Deps } from '../../base/deps.ts'
import type { PushCertificateId } from '../../base/ids.ts'
import { findUsable, keyPlace, type HeldCertificate } from './certificates.ts'
import { paced } from './pace.ts'

/** Where pushes of a certificate go: Apple, or the simulator's stand-in. */
export type ApnsAddress = (certificate: { simulated: boolean }) => { host: string; port: number; ca?: string } | undefined

export interface Client {
  apns: ApnsClient
  topic: string
  /** Of the certificate, as stored. */
  id: PushCertificateId
  version: number
  simulated: boolean
}

/** The open connections to APNs of this process, one for each topic; renewed when the certificate's version in the database moved. */
export interface Clients {
  /** Brings the connections up to date with the database and returns their topics. */
  refresh(): Promise<string[]>
  /** The present connection of a topic. Ask anew for each push: it is another one once the certificate was renewed. */
  of(topic: string): Client | undefined
  /** Waits for the turn to push: all senders of this process together keep to BRAMLEY_PUSH_RATE. */
  pace(): Promise<void>
  close(): Promise<void>
}

/** Connections over what `address` names; a certificate without an address (the stand-in is off) gets none. */
export function openClients(deps: Pick<Deps, 'db' | 'vault' | 'config'>, address: ApnsAddress): Clients {
  const open = new Map<string, Client>()

  async function load(): Promise<string[]> {
    const usable = await findUsable(deps.db.read)
    const keep = new Set(usable.map((held) => held.topic))
    for (const [topic, client] of open) if (!keep.has(topic)) drop(topic, client)
    for (const held of usable) renew(held)
    return [...open.keys()]
  }

  function renew(held: HeldCertificate): void {
    const present = open.get(held.topic)
    if (present?.id === held.id && present.version === held.version) return
    if (present) drop(held.topic, present)
    const to = address(held)
    if (!to) return
    const keyPem = deps.vault.open(held.sealed_key, keyPlace(held.id)).toString()
    const { id, topic, version, simulated } = held
    open.set(topic, { apns: connectApns({ ...to, certificatePem: held.certificate_pem, keyPem }), id, topic, version, simulated })
  }

  /** What waits in it is answered `unreachable` at once, and its sender turns to the present connection. */
  function drop(topic: string, client: Client): void {
    open.delete(topic)
    void client.apns.close()
  }

  return {
    refresh: oneAtATime(load),
    of: (topic) => open.get(topic),
    pace: paced(deps.config.pushRate),
    close: async () => void (await Promise.all([...open.values()].map((client) => client.apns.close()))),
  }
}

/**
 * One call of `load` after the other, so that an older answer never comes after a newer one. Who asks while one runs shares the
 * next with all others who ask meanwhile: what they get was read after they asked.
 */
function oneAtATime<T>(load: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  let next: Promise<T> | undefined
  function ask(): Promise<T> {
    if (running) return (next ??= running.then(again, again))
    running = load().finally(() => void (running = undefined))
    return running
  }
  function again(): Promise<T> {
    next = undefined
    return ask()
  }
  return ask
}
