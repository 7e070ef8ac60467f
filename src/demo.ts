import { randomUUID } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readPushCertificate } from './apple/wire/push-certificate.ts'
import type { Deps } from './base/deps.ts'
import { describeListen } from './base/listen-address.ts'
import { storeCertificate, type ApnsAddress } from './features/push/index.ts'
import { deviceFiles } from './demo-files.ts'
import { openDemoFleet, type DemoFleet } from './demo-fleet.ts'
import { startApnsStandIn, type ApnsStandIn } from './simulator/apns-stand-in.ts'

/** Where the stand-in is, and the CA (PEM) of its certificate. */
export interface ApnsHere {
  host: string
  port: number
  ca: string
}

/** The simulator of this server: the stand-in for Apple's push service. Off, it sends pushes to Apple and nothing else. */
export interface Simulator {
  on: boolean
  /** host:port of the stand-in. */
  standIn: string
  /** Push certificates of Apple's that are held. */
  realTopics: number
  /** The stand-in, for whoever pushes. */
  here: ApnsHere | undefined
  /** Devices that play inside this process; none while the simulator is off. */
  fleet: DemoFleet | undefined
  stop(): Promise<void>
}

const HELD = {
  name: 'demo_push_certificates',
  text: `select count(*) filter (where not simulated)::int as real, min(topic) filter (where simulated) as simulated from push_certificates`,
}

/**
 * Starts the stand-in when this server is for trying out: no push certificate, no database URL, no public URL, or
 * BRAMLEY_SIMULATOR=1. Its push certificate is stored like a real one, marked simulated.
 */
export async function startSimulator(deps: Deps, rootPem: string | undefined): Promise<Simulator> {
  const [held] = await deps.db.read.rows<{ real: number; simulated: string | null }>(HELD, [])
  const realTopics = held?.real ?? 0
  const standIn = describeListen(deps.config.simulatorListen)
  if (!wanted(deps, realTopics)) return { on: false, standIn, realTopics, here: undefined, fleet: undefined, stop: async () => undefined }
  const server = await startApnsStandIn({ ...deps.config.simulatorListen, folder: folderOf(deps) })
  writeFileSync(join(folderOf(deps), 'ca.pem'), server.caPem)
  await keepCertificate(deps, server, held?.simulated ?? `com.apple.mgmt.External.${randomUUID()}`, realTopics === 0)
  const here = { host: deps.config.simulatorListen.host || '127.0.0.1', port: server.port, ca: server.caPem }
  const fleet = await openDemoFleet({
    url: deps.config.publicUrl.origin, ca: rootPem, apns: here, log: deps.log, files: deviceFiles(deps.config.dataFolder),
    stillThere: (udids) => stillThere(deps, udids),
  })
  const stop = async () => {
    await fleet.stop()
    await server.close()
  }
  return { on: true, standIn, realTopics, here, fleet, stop }
}

/** Pushes go to Apple, those with the simulator's certificate to the stand-in; nowhere when it is off. */
export function apnsAddresses({ apns }: Deps['config'], here: ApnsHere | undefined): ApnsAddress {
  return (certificate) => (certificate.simulated ? here : trusting(apns))
}

function wanted({ config }: Deps, realTopics: number): boolean {
  if (config.simulator !== 'auto') return config.simulator === 'on'
  return realTopics === 0 && config.databaseUrl === undefined && !config.publicUrlSet
}

/** Where the stand-in keeps its CA, and `ca.pem` for `bramley simulate`. */
function folderOf(deps: Deps): string {
  const folder = join(deps.config.dataFolder, 'simulator', 'apns')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return folder
}

const STILL_THERE = {
  name: 'demo_devices_still_there',
  text: `select device_key from enrollments
    where device_key = any($1) and channel = 'device' and state in ('identity_issued', 'pending_approval', 'enrolled')`,
}

/** A data folder may be older than the database, and the other way round. */
async function stillThere({ db }: Deps, udids: string[]): Promise<Set<string>> {
  const rows = await db.read.rows<{ device_key: string }>(STILL_THERE, [udids])
  return new Set(rows.map((row) => row.device_key))
}

function trusting({ host, port, ca }: Deps['config']['apns']) {
  return { host, port, ...(ca !== undefined && { ca }) }
}

/** Issued anew at each start: the stand-in's CA may be another one than the last time. */
async function keepCertificate(deps: Deps, server: ApnsStandIn, topic: string, asDefault: boolean): Promise<void> {
  const { certificatePem, keyPem } = server.issuePushCertificate(topic)
  const read = await readPushCertificate({ pem: certificatePem + keyPem })
  await deps.work({ kind: 'system' }, (work) => storeCertificate(deps, work, read, { simulated: true, asDefault, memo: 'simulator' }))
}
