import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { inject } from 'vitest'
import { encodePem } from '../../src/apple/wire/pem.ts'
import { until } from './bramley.ts'
import { freePort } from './free-port.ts'

const DOCS = fileURLToPath(new URL('../../docs/proxies/', import.meta.url))

export const PHONES = 'phones.example.com'
export const PEOPLE = 'mdm.example.com'

/** What a proxy stands before and what it shows: PEM files of a server certificate for both names. */
export interface Place {
  upstreamPort: number
  cert: string
  key: string
}

/** A proxy that runs, ending TLS for both names of the documentation on this machine. */
export interface Proxy {
  phonesPort: number
  peoplePort: number
  stop(): Promise<void>
}

export interface ProxyKind {
  name: string
  start(place: Place): Promise<Proxy>
}

interface Program extends ProxyKind {
  /** Prints its version and ends well where it is installed. */
  probe: [command: string, argument: string]
}

/** The proxies that the documentation has a file for. The file is what runs; names of files, ports and nothing else are replaced. */
const programs: Program[] = [
  {
    name: 'nginx', probe: ['nginx', '-v'],
    start: (place) => run((folder, port) => {
      const server = replaced('nginx.conf', [
        ['listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`], ['/etc/nginx/tls/fullchain.pem', place.cert], ['/etc/nginx/tls/privkey.pem', place.key],
        ['127.0.0.1:8443', `127.0.0.1:${place.upstreamPort}`],
      ])
      // What Debian's nginx.conf is around conf.d, but in one process and in this folder.
      const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${join(folder, name)};`).join(' ')
      const file = write(folder, 'nginx.conf', `daemon off; master_process off; pid ${folder}/pid; error_log stderr;\nevents {}\nhttp { access_log off; ${paths}\n${server}\n}\n`)
      return ['nginx', ['-p', folder, '-c', file]]
    }),
  },
  {
    name: 'Caddy', probe: ['caddy', 'version'],
    start: (place) => run((folder, port) => {
      const sites = replaced('Caddyfile', [
        ['\ttls {', `\tbind 127.0.0.1\n\ttls ${place.cert} ${place.key} {`], [`\n${PHONES} {`, `\nhttps://${PHONES}:${port} {`],
        [`\n${PEOPLE} {`, `\nhttps://${PEOPLE}:${port} {\n\tbind 127.0.0.1\n\ttls ${place.cert} ${place.key}`], ['127.0.0.1:8443', `127.0.0.1:${place.upstreamPort}`],
      ])
      const file = write(folder, 'Caddyfile', `{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system ${folder}\n}\n${sites}`)
      return ['caddy', ['run', '--adapter', 'caddyfile', '--config', file]]
    }),
  },
  {
    name: 'HAProxy', probe: ['haproxy', '-v'],
    start: (place) => run((folder, port, otherPort) => {
      const pem = write(folder, 'both.pem', readFileSync(place.cert, 'utf8') + readFileSync(place.key, 'utf8'))
      const file = write(folder, 'haproxy.cfg', replaced('haproxy.cfg', [
        ['/etc/haproxy/tls/phones.pem', pem], ['/etc/haproxy/tls/mdm.pem', pem], ['bind :443 ', `bind 127.0.0.1:${port} `], ['bind :444 ', `bind 127.0.0.1:${otherPort} `],
        ['127.0.0.1:8443', `127.0.0.1:${place.upstreamPort}`],
      ]))
      return ['haproxy', ['-db', '-f', file]]
    }),
  },
]

const missing = programs.filter(({ probe: [command, argument] }) => spawnSync(command, [argument]).error)

/** Those of this machine. Debian's packages nginx-light, caddy and haproxy bring all (.ci/run installs them). */
export const INSTALLED: ProxyKind[] = programs.filter((program) => !missing.includes(program))
export const MISSING: string[] = missing.map(({ name }) => name)

/** A few lines that do what nginx is told to do, for machines that have no proxy at all. */
export const OWN: ProxyKind = {
  name: 'a proxy of our own',
  async start({ upstreamPort, cert, key }) {
    const tls = { cert: readFileSync(cert), key: readFileSync(key), requestCert: true, rejectUnauthorized: false }
    const server = createHttpsServer(tls, (asked, answer) => {
      const shown = (asked.socket as TLSSocket).getPeerX509Certificate()?.raw
      const { 'client-cert': _theirs, ...headers } = asked.headers
      const forPhones = asked.headers.host?.startsWith(PHONES) ?? false
      if (forPhones && !/^\/(mdm|scep|e|enroll|docs\/errors)(\/|\?|$)/.test(asked.url ?? '')) return void answer.writeHead(404).end()
      const passed = forPhones && shown ? { 'client-cert': encodeURIComponent(encodePem('CERTIFICATE', shown)) } : {}
      asked.pipe(request({ host: '127.0.0.1', port: upstreamPort, method: asked.method, path: asked.url, headers: { ...headers, ...passed } }, (came) => {
        answer.writeHead(came.statusCode ?? 502, came.headers)
        came.pipe(answer)
      }))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const stop = async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
    return { phonesPort: port, peoplePort: port, stop }
  },
}

type Prepare = (folder: string, port: number, otherPort: number) => [command: string, args: string[]]

/** Starts a program in a folder of its own and waits until it listens. Rejects with what it said when it ends before. */
async function run(prepare: Prepare): Promise<Proxy> {
  const folder = mkdtempSync(join(inject('runFolder'), 'proxy-'))
  const [port, otherPort] = [await freePort(), await freePort()]
  const [command, args] = prepare(folder, port, otherPort)
  const child = spawn(command, args, { cwd: folder, env: { PATH: process.env['PATH'] ?? '', HOME: folder }, stdio: ['ignore', 'pipe', 'pipe'] })
  const end = () => void child.kill('SIGKILL')
  process.once('exit', end)
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  await listening(child, port)
  return {
    phonesPort: port,
    peoplePort: command === 'haproxy' ? otherPort : port,
    async stop() {
      end()
      process.off('exit', end)
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function listening(child: ChildProcess, port: number): Promise<void> {
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (said += chunk.toString()))
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended (${child.exitCode}):\n${said}`)
    return answers(port)
  }, `${child.spawnfile} to listen`)
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

/** A file of the documentation; every text must be in it, so that a renamed one is noticed. */
function replaced(name: string, texts: [from: string, to: string][]): string {
  return texts.reduce((all, [from, to]) => {
    if (!all.includes(from)) throw new Error(`docs/proxies/${name} does not say ${from}`)
    return all.replaceAll(from, to)
  }, readFileSync(join(DOCS, name), 'utf8'))
}

function write(folder: string, name: string, text: string): string {
  const file = join(folder, name)
  writeFileSync(file, text, { mode: 0o600 })
  return file
}
