import fastify, { type FastifyHttpOptions, type FastifyInstance } from 'fastify'
import type { RequestListener, Server } from 'node:http'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer, type ServerOptions } from 'node:https'
import type { Socket } from 'node:net'
import { writeCertificatePem } from './apple/wire/pem.ts'
import type { Deps } from './base/deps.ts'
import { newId } from './base/ids.ts'
import { registerAccess } from './features/access/index.ts'
import { countOpen, registerCommands } from './features/commands/index.ts'
import { registerEnrollmentAttempts, registerEnrollmentLinks } from './features/enrollment-profiles/index.ts'
import { registerSimulator } from './demo-api.ts'
import type { Fleet } from './demo-shown.ts'
import { registerDevices } from './features/enrollments/index.ts'
import type { Authorities } from './features/identity/index.ts'
import { defaultTopic, registerPushCertificates, type Clients } from './features/push/index.ts'
import { adminDoor } from './doors/admin/index.ts'
import { speak } from './doors/admin/speech.ts'
import { compatDoor } from './doors/compat/index.ts'
import { deviceDoor, type DeviceDoorParts } from './doors/device/index.ts'
import { refuse } from './doors/device/speech.ts'
import { healthDoor, type HealthState } from './doors/health.ts'
import { pageDoor } from './doors/pages/index.ts'
import type { LiveTls } from './tls-files.ts'
import type { ServerTls } from './tls.ts'

/** `checkin` is the part of the device door that a separate CheckInURL needs. */
export type Door = 'device' | 'admin' | 'checkin'

export interface AppParts extends DeviceDoorParts {
  pushClients: Clients
  health: HealthState
  trustRoots: Buffer[]
  /** Simulated devices of this server, while the simulator is on. */
  fleet?: Fleet | undefined
}

/** Security-guide 12 and 33: how long a stranger may take, and how much a header may hold. */
const TIMES = { headers: 10_000, request: 60_000, keepAlive: 75_000, check: 1_000 }
/** Node looks for the slow only every 30 seconds by itself, and would let them stay three times as long. */
const LIMITS = { maxHeaderSize: 64 * 1024, connectionsCheckingInterval: TIMES.check }

/** One listener's application: the doors that open on it. Without `tls` it speaks plain HTTP. */
export function buildApp(deps: Deps, parts: AppParts, doors: readonly Door[], tls: LiveTls | undefined): FastifyInstance {
  const sayToPeople = speak(deps)
  const asks = deps.config.deviceAuth === 'mtls' && !doors.every((door) => door === 'admin')
  const options: FastifyHttpOptions<Server> = {
    serverFactory: (handler) => listenerFor(handler, tls, asks ? parts.authorities : undefined),
    trustProxy: deps.config.trustedProxies.length > 0 ? deps.config.trustedProxies : false,
    genReqId: (request) => requestIdOf(request.headers['x-request-id']),
    forceCloseConnections: 'idle',
    clientErrorHandler: hangUp,
    frameworkErrors: (error, request, reply) => {
      // A URL that cannot be read belongs to no door yet.
      if (request.url.startsWith('/api/')) sayToPeople(error, request, reply)
      else void refuse(deps.log, error, request, reply)
    },
    bodyLimit: 1024 * 1024,
  }
  const app = fastify(options)
  void app.register(healthDoor(deps, parts.health))
  if (doors.includes('device')) {
    void app.register(deviceDoor(deps, parts))
    void app.register(pageDoor(deps, { authorities: parts.authorities, push: { defaultTopic }, trustRoots: parts.trustRoots }))
  }
  if (doors.includes('checkin')) void app.register(deviceDoor(deps, parts, 'checkin'))
  if (doors.includes('admin')) void app.register(adminDoor(deps, features(parts.fleet)), { prefix: '/api/v1' })
  if (doors.includes('admin') && deps.config.compat === 'auto') void app.register(compatDoor(deps, parts.pushClients))
  return app
}

/** What the admin door offers, one line a room. */
export function features(fleet?: Fleet) {
  return [
    registerAccess,
    (app, deps) => registerDevices(app, deps, countOpen),
    registerCommands,
    (app, deps) => registerEnrollmentLinks(app, deps, { push: { defaultTopic } }),
    registerEnrollmentAttempts,
    registerPushCertificates,
    (app) => registerSimulator(app, fleet),
  ] satisfies Parameters<typeof adminDoor>[1]
}

/** With `clients` a certificate is asked for and anything accepted: the device door judges it, and people show none. */
function secureOptions({ cert, key }: ServerTls, clients: Authorities | undefined): ServerOptions {
  // Naming the CAs in the handshake keeps browsers from asking people for certificates of other services.
  return { cert, key, minVersion: 'TLSv1.2', ...(clients && { requestCert: true, rejectUnauthorized: false, ca: namesOf(clients) }) }
}

function namesOf({ deviceCa, extraDeviceCas }: Authorities): string[] {
  return [deviceCa.pem, ...extraDeviceCas.map(({ der }) => writeCertificatePem(der))]
}

function secureServer(handler: RequestListener, tls: LiveTls, clients: Authorities | undefined): Server {
  const server = createHttpsServer({ ...secureOptions(tls.current, clients), ...LIMITS, handshakeTimeout: TIMES.headers }, handler)
  // Who speaks on a connection is settled by its handshake; a client of TLS 1.2 could change that afterwards.
  server.on('secureConnection', (socket) => socket.disableRenegotiation())
  tls.follow((fresh) => server.setSecureContext(secureOptions(fresh, clients)))
  return server
}

function listenerFor(handler: RequestListener, tls: LiveTls | undefined, clients: Authorities | undefined): Server {
  const server = tls ? secureServer(handler, tls, clients) : createHttpServer(LIMITS, handler)
  server.headersTimeout = TIMES.headers
  server.requestTimeout = TIMES.request
  server.keepAliveTimeout = TIMES.keepAlive
  return server
}

const HANG_UP: Record<string, string> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/** What is no HTTP, too long or too slow gets a bare status and a closed connection; `end`, so that TLS still sends it. */
function hangUp(error: Error & { code?: string }, socket: Socket): void {
  // In the middle of a handshake nothing more can be said, and `end` would wait for it for ever.
  const mute = error.code === 'ECONNRESET' || error.code?.startsWith('ERR_TLS_')
  if (mute || !socket.writable) return void socket.destroy()
  socket.end(`HTTP/1.1 ${HANG_UP[error.code ?? ''] ?? '400 Bad Request'}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

function requestIdOf(header: string | string[] | undefined): string {
  return typeof header === 'string' && /^[A-Za-z0-9_.-]{1,64}$/.test(header) ? header : newId('req')
}
