import {
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type Http2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'

/** What an HTTP/2 server of the stand-in is made of. PEM throughout; `ca` signs its clients. */
export interface ApnsServerParts {
  host: string
  port: number
  tls: { cert: string; key: string; ca: string }
  /** Asked once for each TCP connection: shall it be closed before TLS? */
  refuses: () => boolean
  onSession: (session: Http2Session) => void
  onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void
}

/** The listening server. */
export interface ApnsServer {
  readonly port: number
  /** How many streams a session opened from now on may hold at once. */
  maxStreams: number
  /** Cuts every connection there is. */
  dropConnections(): void
  close(): Promise<void>
}

/** Starts the server; rejects when the address is taken. */
export async function startApnsServer(parts: ApnsServerParts): Promise<ApnsServer> {
  const settings = { maxConcurrentStreams: 1_000 }
  // Refusal is left to the doors: devices come without a certificate, and APNs refuses pushers with a status.
  const server = createSecureServer({ ...parts.tls, requestCert: true, rejectUnauthorized: false, settings })
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => admit(socket, sockets, parts))
  server.on('session', parts.onSession)
  server.on('stream', (stream, headers) => {
    stream.on('error', ignore)
    parts.onStream(stream, headers)
  })
  const port = await listen(server, parts.host, parts.port)
  const dropConnections = () => sockets.forEach((socket) => socket.destroy())
  return {
    port,
    dropConnections,
    get maxStreams() {
      return settings.maxConcurrentStreams
    },
    set maxStreams(count) {
      settings.maxConcurrentStreams = count
      server.updateSettings(settings)
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        dropConnections()
      }),
  }
}

function admit(socket: Socket, sockets: Set<Socket>, parts: ApnsServerParts): void {
  if (parts.refuses()) return void socket.destroy()
  sockets.add(socket)
  socket.once('close', () => sockets.delete(socket))
}

function listen(server: Http2SecureServer, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port))
  })
}

// A stream that its client gave up is the client's business.
function ignore(): void {}
