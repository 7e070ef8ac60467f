import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { pingWhenIdle } from '../apple/cloud/http2-keep-alive.ts'
import { parseLine } from './apns-lines.ts'

/** Where the stand-in is. `ca` is its CA certificate in PEM, and the only one trusted. */
export interface ApnsListenerOptions {
  host: string
  port: number
  ca: string
}

const IDLE_MS = 30_000
const PATIENCE_MS = 10_000

/** Opens a session. It lives until somebody closes it; a failed one is destroyed, and its streams say why. */
export function openLink({ host, port, ca }: ApnsListenerOptions): ClientHttp2Session {
  const session = connect(`https://${host}:${port}`, { ca })
  session.on('error', () => session.destroy())
  pingWhenIdle(session, IDLE_MS, PATIENCE_MS, () => session.destroy())
  return session
}

/** Opens the long-lived stream on which pushes arrive, and resolves when the stand-in has accepted it. */
export function openListenStream(session: ClientHttp2Session): Promise<ClientHttp2Stream> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':method': 'POST', ':path': '/simulated/listen' })
    stream.once('response', (headers) => {
      if (headers[':status'] === 200) return resolve(stream)
      stream.close()
    })
    stream.on('error', reject)
    stream.once('close', () => reject(new Error('the stand-in did not let us listen')))
  })
}

/** Sends one small JSON request and resolves with the JSON answered. Rejects on any status but 200. */
export function call(session: ClientHttp2Session, path: string, body: object): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/json' })
    let status: number | undefined
    let text = ''
    stream.setEncoding('utf8')
    stream.setTimeout(PATIENCE_MS, () => stream.close())
    stream.on('response', (headers) => (status = headers[':status']))
    stream.on('data', (chunk: string) => (text += chunk))
    stream.on('error', reject)
    stream.once('close', () => {
      if (status === 200) resolve(parseLine(text))
      else reject(new Error(`${path}: ${status === undefined ? 'no answer' : `status ${status}`}`))
    })
    stream.end(JSON.stringify(body))
  })
}
