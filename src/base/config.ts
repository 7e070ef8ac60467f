import type { Certificate } from '../apple/wire/x509.ts'
import type { ListenAddress } from './listen-address.ts'

/** The settings of this process, read once by src/config.ts and frozen. */
export interface Config {
  readonly publicUrl: URL
  /** Whether somebody chose the public URL; the simulator starts by itself only when nobody did. */
  readonly publicUrlSet: boolean
  /** Where links with `separate_checkin` send check-in messages. */
  readonly checkinUrl: URL | undefined
  /** What this process opens. `checkin` has a checkinUrl. */
  readonly doors: 'all' | 'checkin'
  readonly listen: ListenAddress
  readonly httpListen: ListenAddress | undefined
  readonly adminListen: ListenAddress | undefined
  readonly metricsListen: ListenAddress | undefined
  readonly tls: 'self' | 'files' | 'off'
  /** Paths, with mode `files` only. */
  readonly tlsFiles: { cert: string; key: string } | undefined
  readonly trustedProxies: string[]
  /** The one method that proves who a device is. */
  readonly deviceAuth: 'signature' | 'mtls' | 'proxy-header'
  readonly clientCertHeader: string
  readonly extraDeviceCas: readonly Certificate[]
  readonly databaseUrl: string | undefined
  readonly databasePool: number
  /** Processes that serve; with more than one, this one only looks after them. */
  readonly workers: number
  readonly migrate: 'auto' | 'manual'
  readonly dataFolder: string
  readonly secretKeyFile: string
  readonly organization: string
  readonly logLevel: string
  readonly logFormat: 'json' | 'pretty' | 'auto'
  readonly apns: { host: string; port: number; ca: string | undefined }
  readonly pushRate: number
  readonly simulator: 'auto' | 'on' | 'off'
  readonly simulatorListen: ListenAddress
  readonly bootstrapTokenFile: string | undefined
  readonly compat: 'auto' | 'off'
  /** Where messages of devices are told of, and the key that signs them. */
  readonly webhook: { url: URL; hmacKey: string | undefined } | undefined
  readonly escrowUnlock: { url: URL; ca: string | undefined }
  /** How long after its import a device may show its certificate for the first time. */
  readonly migrationWindowMs: number
  readonly networkUsers: 'decline' | 'accept'
}

/** The address at which this process answers: its host name is the one that its TLS certificate is for. */
export function ownUrl({ doors, checkinUrl, publicUrl }: Pick<Config, 'doors' | 'checkinUrl' | 'publicUrl'>): URL {
  return doors === 'checkin' ? (checkinUrl ?? publicUrl) : publicUrl
}
