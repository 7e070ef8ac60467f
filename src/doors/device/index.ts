import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { parseCheckin } from '../../apple/wire/checkin.ts'
import { parseReport } from '../../apple/wire/report.ts'
import type { Deps } from '../../base/deps.ts'
import { counted } from '../../base/metrics.ts'
import { Problem } from '../../base/problem.ts'
import { poll } from '../../features/commands/index.ts'
import { answerDeclarative } from '../../features/declarations/index.ts'
import { checkin, hear, isCurrent, stands, type Sightings } from '../../features/enrollments/index.ts'
import { answerScep, type Authorities, type Identity } from '../../features/identity/index.ts'
import { TELLING_TYPES } from '../../features/inventory/index.ts'
import type { Said } from '../../features/webhook/index.ts'
import { deviceGate, transportGuard } from './gate.ts'
import { messageKind, type MessageKind } from './content-type.ts'
import { readScepRequest } from './scep-request.ts'
import { refuse } from './speech.ts'
import { turnstile } from './turnstile.ts'

const BODY_LIMIT = 8 * 1024 * 1024 // shared decision 12
const SCEP_LIMIT = 64 * 1024

/** Which messages go where: ours, MicroMDM's two addresses, and NanoMDM's second one, for devices that were enrolled with them. */
const ROUTES: [url: string, welcome: MessageKind[]][] = [
  ['/mdm', ['checkin', 'report']], ['/mdm/checkin', ['checkin']], ['/mdm/connect', ['report']], ['/checkin', ['checkin']],
]

export interface DeviceDoorParts {
  authorities: Authorities
  sightings: Sightings
}

/**
 * The door for devices: check-in and commands on /mdm (protocol.md 1 to 3) and its aliases, SCEP on /scep (RFC 8894). An encapsulated plugin
 * with its own parsers and its own way of saying no. With `checkin` it opens as far as a CheckInURL of its own needs: for check-in messages
 * where nothing else is taken.
 */
export function deviceDoor(deps: Deps, parts: DeviceDoorParts, opens: 'all' | 'checkin' = 'all') {
  return async (app: FastifyInstance): Promise<void> => {
    const gate = deviceGate(deps, parts.authorities)
    const guard = transportGuard(deps)
    const oneByOne = turnstile()
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
    app.setErrorHandler((error, request, reply) => refuse(deps.log, error, request, reply))
    // Before the body is read: an encoded body could be a bomb, and plain HTTP from afar is nobody's phone.
    app.addHook('onRequest', async (request) => {
      guard(request)
      if (request.headers['content-encoding'] !== undefined) throw new Problem('unsupported_content')
    })

    for (const [url, welcome] of ROUTES.filter(([, kinds]) => opens === 'all' || !kinds.includes('report'))) {
      app.put(url, { bodyLimit: BODY_LIMIT }, async (request, reply) => {
        const body = bodyOf(request)
        const kind = messageKind(request.headers['content-type'], welcome)
        const identity = gate(request, body)
        return oneByOne(identity.certificate.sha256, () => (
          kind === 'checkin' ? answerCheckin(request, reply, identity, body) : answerReport(request, reply, identity, body)
        ))
      })
      app.route({ method: ['GET', 'POST', 'DELETE', 'PATCH', 'OPTIONS'], url, bodyLimit: BODY_LIMIT, handler: (_request, reply) => notAllowed(reply, 'PUT') })
    }

    if (opens === 'checkin') return
    app.route({
      method: ['GET', 'POST'],
      url: '/scep',
      bodyLimit: SCEP_LIMIT,
      handler: async (request, reply) => {
        const answer = await answerScep(deps, parts.authorities, readScepRequest(request, bodyOf(request)), { isCurrent, stands })
        return reply.type(answer.contentType).send(answer.body)
      },
    })
    app.route({ method: ['PUT', 'DELETE', 'PATCH', 'OPTIONS'], url: '/scep', bodyLimit: SCEP_LIMIT, handler: (_request, reply) => notAllowed(reply, 'GET, POST') })
  }

  async function answerCheckin(request: FastifyRequest, reply: FastifyReply, identity: Identity, body: Buffer): Promise<FastifyReply> {
    const message = parseCheckin(body)
    const said = saidIn(request, body)
    const { enrollment, answer } = await hear(deps, identity, message.channel, message.MessageType === 'Authenticate', () => (
      message.MessageType === 'DeclarativeManagement'
        ? answerDeclarative(deps, identity.certificate.sha256, message, said)
        : checkin(deps, identity, message, said)
    ))
    if (enrollment !== undefined) parts.sightings.saw(enrollment)
    counted.checkin(message.MessageType, 'accepted')
    deps.log.info({ door: 'device', requestId: request.id, said: message.MessageType, device: message.channel.deviceKey, status: 200 }, 'check-in')
    return answer ? reply.code(200).type(answer.contentType).send(answer.body) : reply.code(200).send()
  }

  async function answerReport(request: FastifyRequest, reply: FastifyReply, identity: Identity, body: Buffer): Promise<FastifyReply> {
    const report = parseReport(body)
    const { enrollment, command, ignored } = await hear(deps, identity, report.channel, false, () => (
      poll(deps, identity.certificate.sha256, report, saidIn(request, body), TELLING_TYPES)
    ))
    parts.sightings.saw(enrollment)
    counted.connect(report.status)
    const line = { door: 'device', requestId: request.id, said: report.status, device: report.channel.deviceKey, status: 200 }
    // The quiet poll is the most frequent line of all and says nothing; it is there for us, not for operators.
    if (!command && ignored === undefined && report.status === 'Idle') deps.log.debug(line, 'poll')
    else deps.log.info({ ...line, command: command?.id, requestType: command?.requestType, ...(ignored !== undefined && { reason: ignored }) }, ignored === undefined ? 'poll' : 'report_ignored')
    return command ? reply.code(200).type('application/xml; charset=utf-8').send(command.body) : reply.code(200).send()
  }
}

/** The request as the webhook tells of it; of each query parameter the first value, names in order. */
function saidIn(request: FastifyRequest, raw: Buffer): Said {
  const query = Object.entries(request.query as Record<string, string | string[]>)
  const params = query.map(([name, value]) => [name, Array.isArray(value) ? (value[0] ?? '') : value] as const)
  return { raw, urlParams: Object.fromEntries(params.toSorted(([a], [b]) => (a < b ? -1 : 1))) }
}

function bodyOf(request: FastifyRequest): Buffer {
  return Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
}

function notAllowed(reply: FastifyReply, allow: string): FastifyReply {
  return reply.code(405).header('allow', allow).send('')
}
