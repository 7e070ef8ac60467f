import { execFileSync, spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openAuthority, type CertifiedKey } from '../../src/simulator/apns-authority.ts'

/** A server that judges the pusher's certificate in the handshake, as APNs may, and refuses it by a TLS alert. It has no HTTP/2. */
export interface RefusingApns {
  host: string
  port: number
  /** Of its certificate; it takes clients of the same authority. */
  caPem: string
  good: CertifiedKey
  expired: CertifiedKey
  revoked: CertifiedKey
  close(): Promise<void>
}

const YEARS_AGO = new Date(Date.now() - 800 * 86_400_000)

/** Starts it. Node's TLS server never sends such an alert, whatever is wrong with a client's certificate; openssl's does. */
export async function startRefusingApns(folder: string, topic: string, options: string[] = []): Promise<RefusingApns> {
  const work = mkdtempSync(join(folder, 'refusing-apns-'))
  const file = (name: string, text: string) => {
    writeFileSync(join(work, name), text)
    return join(work, name)
  }
  const authority = await openAuthority(() => new Date(), work)
  const server = authority.issueServerCertificate('127.0.0.1')
  const revoked = authority.issuePushCertificate(topic)
  const trusted = [file('ca.pem', authority.caPem), revocations(work, file, revoked)].map((name) => readFileSync(name, 'utf8')).join('')
  const child = spawn('openssl', [
    's_server', '-accept', '127.0.0.1:0', '-cert', file('server.pem', server.certificatePem), '-key', file('server.key', server.keyPem),
    '-Verify', '1', '-verify_return_error', '-crl_check', '-CAfile', file('trusted.pem', trusted), '-alpn', 'h2', ...options,
  ], { stdio: ['pipe', 'pipe', 'pipe'] })
  let output = ''
  const port = await new Promise<number>((resolve, reject) => {
    const listen = (chunk: Buffer) => {
      output += chunk.toString()
      const [, found] = /^ACCEPT 127\.0\.0\.1:(\d+)/m.exec(output) ?? []
      if (found !== undefined) resolve(Number(found))
    }
    child.stdout.on('data', listen)
    child.stderr.on('data', listen)
    child.once('close', () => reject(new Error(`openssl s_server ended: ${output}`)))
  })
  return {
    host: '127.0.0.1', port, caPem: authority.caPem,
    good: authority.issuePushCertificate(topic),
    expired: (await openAuthority(() => YEARS_AGO, work)).issuePushCertificate(topic),
    revoked,
    close: () => new Promise((resolve) => {
      child.once('close', () => resolve())
      child.kill('SIGKILL')
    }),
  }
}

function revocations(work: string, file: (name: string, text: string) => string, { certificatePem }: CertifiedKey): string {
  const { serialNumber } = new X509Certificate(certificatePem)
  const index = file('index.txt', `R\t491231235959Z\t250101000000Z\t${serialNumber}\tunknown\t/CN=revoked\n`)
  const config = file('ca.cnf', `[ca]\ndefault_ca = here\n[here]\ndatabase = ${index}\ndefault_md = sha256\ndefault_crl_days = 30\n`)
  const ca = join(work, 'apns-stand-in-ca.pem')
  const crl = join(work, 'crl.pem')
  execFileSync('openssl', ['ca', '-gencrl', '-config', config, '-cert', ca, '-keyfile', ca, '-out', crl], { stdio: 'pipe' })
  return crl
}
