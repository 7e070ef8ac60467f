import { relative } from 'node:path'
import type { RunningDatabase } from './database.ts'
import { ownUrl, type Config } from './base/config.ts'
import type { Simulator } from './demo.ts'
import { isForPeople, logFileOf } from './log-destination.ts'
import type { ServerTls } from './tls.ts'

const RULE = '─'.repeat(76)

/** What a start did, one line each, on stderr: for whoever started it. Warnings only where somebody must act. */
export class Summary {
  readonly #config: Config
  readonly #write: (text: string) => void

  constructor(config: Config, say: (line: string) => void = (line) => process.stderr.write(`${line}\n`)) {
    this.#config = config
    this.#write = say
  }

  database({ embedded, migrated }: RunningDatabase): void {
    const schema = migrated.from === migrated.to ? `schema ${migrated.to}` : `migrated ${migrated.from} → ${migrated.to}`
    this.#line('Database', embedded ? `embedded PostgreSQL in ${this.#path('pg')} (${schema})` : `PostgreSQL by BRAMLEY_DATABASE_URL (${schema})`)
  }

  secrets(created: boolean): void {
    const file = shorten(this.#config.secretKeyFile)
    this.#line('Secrets', created ? `${file} created    (back this file up: without it a backup is unreadable)` : file)
  }

  tls(tls: ServerTls | undefined): void {
    const { tlsFiles } = this.#config
    const made = tlsFiles ? shorten(tlsFiles.cert) : `self-signed for ${ownUrl(this.#config).hostname}`
    this.#line('TLS', tls ? `${made}    SHA-256 ${tls.fingerprint.slice(0, 11)}…` : 'off: a proxy in front ends it')
  }

  push(simulator: Simulator): void {
    const held = simulator.realTopics > 0 ? `${simulator.realTopics} certificate${simulator.realTopics === 1 ? '' : 's'}` : 'no certificate'
    const playing = simulator.on ? ` → simulator mode, local APNs stand-in on ${simulator.standIn}` : simulator.realTopics > 0 ? '' : ' → upload one before the first phone'
    this.#line('Push', held + playing)
  }

  workers(): void {
    if (this.#config.workers > 1) this.#line('Workers', `${this.#config.workers} processes`)
  }

  fleet(resumed: number | undefined): void {
    if (resumed === undefined) return
    this.#line('Devices', resumed > 0 ? `${resumed} simulated, as you left them` : 'none; `npx bramley setup --sample` brings six simulated phones')
  }

  ready(setupToken: string | undefined): void {
    const config = this.#config
    const url = config.publicUrl.origin
    const trust = config.tls === 'self' ? ` --cacert ${this.#path('tls/ca.pem')}` : ''
    this.#write(`  ${RULE}`)
    if (setupToken === undefined) this.#write(`    Ready  ${url}`)
    else {
      this.#write(`    First  npx bramley setup                    (makes your API key; shown once)`)
      this.#write(`    Or     curl${trust} ${url}/api/v1/setup --json '{"token":"${setupToken}"}'`)
      this.#write('           one-time token, valid 30 minutes, only until the first key exists')
      this.#write(`    Ready  ${url}`)
    }
    this.#write(`    API    ${url}/api/v1/openapi.json    Stop  Ctrl-C${isForPeople(config) ? `    Logs  ${shorten(logFileOf(config))}` : ''}`)
    this.#write(`  ${RULE}`)
  }

  /** Of a process that serves a separate check-in address: nothing here is for people. */
  readyForCheckins(): void {
    this.#write(`  ${RULE}`)
    this.#write(`    Ready  ${ownUrl(this.#config).origin}    check-in messages only (BRAMLEY_DOORS=checkin)`)
    this.#write(`  ${RULE}`)
  }

  #path(name: string): string {
    return shorten(`${this.#config.dataFolder}/${name}`)
  }

  #line(subject: string, text: string): void {
    this.#write(`  ✔ ${subject.padEnd(10)} ${text}`)
  }
}

function shorten(path: string): string {
  const near = relative(process.cwd(), path)
  return near.startsWith('..') ? path : `./${near}`
}
