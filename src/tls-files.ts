import { X509Certificate, createPrivateKey, type KeyObject } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { ownUrl, type Config } from './base/config.ts'
import type { Log } from './base/log.ts'
import { selfSignedTls, type ServerTls } from './tls.ts'

/** The certificate that listeners show now, and a word to each when there is another. */
export interface LiveTls {
  current: ServerTls
  follow(listener: (tls: ServerTls) => void): void
  stop(): void
}

type TlsFiles = NonNullable<Config['tlsFiles']>

const LOOK_MS = 10_000

/** The TLS of this process by BRAMLEY_TLS; undefined when a proxy ends it. Throws Error for files that cannot be used. */
export function openTls(config: Config, log: Log, now: Date): LiveTls | undefined {
  if (config.tls === 'off') return undefined
  if (config.tlsFiles) return watchTlsFiles(config.tlsFiles, log)
  return { current: selfSignedTls(config.dataFolder, ownUrl(config).hostname, now), follow: () => undefined, stop: () => undefined }
}

/**
 * TLS mode `files`: a certificate with its chain and its key, read again on SIGHUP and when a file changes; looked at every 10
 * seconds, because whatever renews certificates rarely tells anybody. A new pair that cannot be used leaves the old one in place.
 */
export function watchTlsFiles(files: TlsFiles, log: Log): LiveTls {
  const listeners: ((tls: ServerTls) => void)[] = []
  let seen = stampOf(files)
  const live: LiveTls = { current: readTlsFiles(files), follow: (listener) => void listeners.push(listener), stop }
  const reload = (): void => {
    // Before reading: what is written meanwhile is looked at again.
    seen = stampOf(files)
    try {
      live.current = readTlsFiles(files)
      for (const listener of listeners) listener(live.current)
      log.info({ sha256: live.current.fingerprint }, 'tls_reloaded')
    } catch (error) {
      log.error({ reason: error instanceof Error ? error.message : String(error) }, 'tls_not_reloaded: the old certificate stays')
    }
  }
  const timer = setInterval(() => (stampOf(files) === seen ? undefined : reload()), LOOK_MS).unref()
  process.on('SIGHUP', reload)
  function stop(): void {
    clearInterval(timer)
    process.off('SIGHUP', reload)
  }
  return live
}

/** Reads a pair that belongs together and that OpenSSL can speak with. Throws Error that names the setting at fault. */
export function readTlsFiles(files: TlsFiles): ServerTls {
  const cert = readText('BRAMLEY_TLS_CERT', files.cert)
  const key = readText('BRAMLEY_TLS_KEY', files.key)
  const certificate = attempt(() => new X509Certificate(cert), `BRAMLEY_TLS_CERT: ${files.cert} holds no PEM certificate`)
  const privateKey: KeyObject = attempt(() => createPrivateKey(key), `BRAMLEY_TLS_KEY: ${files.key} holds no private key in PEM without a passphrase`)
  if (!certificate.checkPrivateKey(privateKey)) throw new Error(`BRAMLEY_TLS_KEY: ${files.key} is not the key of the first certificate in ${files.cert}`)
  attempt(() => createSecureContext({ cert, key, minVersion: 'TLSv1.2' }), `BRAMLEY_TLS_CERT: ${files.cert} cannot be used for TLS`)
  return { cert, key, fingerprint: certificate.fingerprint256, rootDer: undefined }
}

function readText(name: string, file: string): string {
  return attempt(() => readFileSync(file, 'utf8'), `${name}: cannot read ${file}`)
}

function attempt<T>(action: () => T, complaint: string): T {
  try {
    return action()
  } catch (error) {
    throw new Error(complaint, { cause: error })
  }
}

/** Changes whenever a file does, or the file that a link leads to. */
function stampOf({ cert, key }: TlsFiles): string {
  return [cert, key].map((file) => {
    const stats = statSync(file, { throwIfNoEntry: false })
    return stats ? `${stats.ino}:${stats.size}:${stats.mtimeMs}` : 'absent'
  }).join(' ')
}
