import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { allows, change, principalOf, type ApiApp } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import type { DeviceId, EnrollmentId } from '../../base/ids.ts'
import { page, pageOf, pageQuery, readCursor } from '../../base/paging.ts'
import { Problem } from '../../base/problem.ts'
import type { Work } from '../../base/work.ts'
import { getDevice, getUserChannel, type DeviceRow } from '../enrollments/index.ts'
import { cancel, cancelUndelivered } from './cancel.ts'
import { check } from './check.ts'
import { enqueue, type CommandRequest } from './enqueue.ts'
import { isDestructive } from './kinds.ts'
import { findCommand, listCommands } from './read.ts'
import { registerPlists } from './plist-api.ts'
import { flatRequest, commandRequest, readJson, readRequest } from './request.ts'
import { asIfTokenWereThere, withUnlockToken } from './unlock-token.ts'
import { COMMAND_STATES, commandDetail, commandSummary, queuedCommand, shapeDetail, shapeSummary } from './shape.ts'

const deviceParams = z.object({ device: z.string().min(1).max(128).describe('Id, serial number, UDID or EnrollmentID') })
const commandParams = z.object({ command: z.string().min(1).max(64) })
const listQuery = z.strictObject({
  ...pageQuery,
  state: z.enum(COMMAND_STATES).optional().describe('push_accepted and push_failed mean queued'),
  type: z.string().max(100).optional().describe("Apple's RequestType"),
})
const user = z.string().min(1).max(255).optional().describe('For the channel of this user: UserID or short name; a Managed Apple Account on a Shared iPad')
const userQuery = z.strictObject({ user })
const queueQuery = z.strictObject({ user, force: z.stringbool().optional().describe('Queue it although the check says that this device cannot do it') })
const tags = ['Commands']

/** Commands: queue (JSON or raw plist), list, read with timeline and answer, cancel. */
export function registerCommands(app: ApiApp, deps: Deps): void {
  app.post('/devices/:device/commands', {
    config: { scope: 'commands:raw' },
    schema: {
      tags, summary: 'Queue a command given as JSON', params: deviceParams, querystring: userQuery, body: z.union([commandRequest, flatRequest]),
      response: { 200: queuedCommand, 202: queuedCommand },
    },
  }, async (request, reply) => queue(deps, request, reply, { device: request.params.device, ...request.query }, readJson(request.body, deps.clock())))

  app.put('/devices/:device/commands', {
    config: { scope: 'commands:raw', rawBody: true },
    bodyLimit: 8 * 1024 * 1024,
    schema: {
      tags, summary: 'Queue a command given as Apple plist (curl -T) or JSON', params: deviceParams, querystring: queueQuery,
      description: 'With a CommandUUID in it the device gets these very bytes; without one it is given one.',
      response: { 200: queuedCommand, 202: queuedCommand },
    },
  }, async (request, reply) => {
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
    const read = readRequest(body, deps.clock())
    return queue(deps, request, reply, { device: request.params.device, user: request.query.user }, { ...read, force: read.force || request.query.force === true })
  })

  app.get('/devices/:device/commands', {
    config: { scope: 'devices:read' },
    schema: { tags, summary: "List a device's commands, newest first", params: deviceParams, querystring: listQuery, response: { 200: pageOf(commandSummary) } },
  }, async (request) => list(deps, request.query, (await getDevice(deps.db.read, request.params.device)).id))

  app.delete('/devices/:device/commands', {
    config: { scope: 'commands:raw' },
    schema: {
      tags, summary: 'Cancel all commands the device has not fetched, or those of one of its users', params: deviceParams, querystring: userQuery,
      response: { 200: z.object({ cancelled: z.array(z.string()) }) },
    },
  }, async (request, reply) => {
    const device = await getDevice(deps.db.read, request.params.device)
    const enrollment = await channelOf(deps, device, request.query.user)
    return change(deps, request, reply, 200, async (work) => ({ cancelled: await cancelUndelivered(work, enrollment, device.id) }))
  })

  app.get('/commands', {
    config: { scope: 'devices:read' },
    schema: { tags, summary: 'List commands of all devices, newest first', querystring: listQuery, response: { 200: pageOf(commandSummary) } },
  }, async (request) => list(deps, request.query, undefined))

  app.get('/commands/:command', {
    config: { scope: 'devices:read' },
    schema: { tags, summary: 'Read a command with its timeline and answer', params: commandParams, response: { 200: commandDetail } },
  }, async (request) => {
    const row = await findCommand(deps.db.read, request.params.command)
    if (!row) throw new Problem('not_found', 'There is no such command')
    return shapeDetail(deps.db.read, row)
  })

  app.post('/commands/:command/cancel', {
    config: { scope: 'commands:raw' },
    schema: { tags, summary: 'Withdraw a command the device does not have in hand', params: commandParams, response: { 200: commandDetail } },
  }, async (request, reply) => change(deps, request, reply, 200, async (work) => {
    await cancel(work, request.params.command)
    return shown(work, request.params.command)
  }))

  registerPlists(app, deps)
}

/** 202 for a queued command; 200 when the same question was waiting already. */
async function queue(
  deps: Deps, request: FastifyRequest, reply: FastifyReply, to: { device: string; user?: string | undefined }, wanted: CommandRequest & { force: boolean },
): Promise<FastifyReply> {
  const device = await getDevice(deps.db.read, to.device)
  const principal = principalOf(request)
  if (isDestructive(wanted.requestType) && !allows(principal, 'actions:destructive')) {
    throw new Problem('missing_scope', `${wanted.requestType} needs the scope actions:destructive`)
  }
  if (device.state !== 'enrolled') throw new Problem('device_unenrolled', `Its enrollment is ${device.state}`)
  const enrollment = await channelOf(deps, device, to.user)
  const checked = check({ ...wanted, command: wanted.bytes ? wanted.command : asIfTokenWereThere(wanted.command) }, device, to.user === undefined ? 'device' : 'user')
  const complete = wanted.bytes ? wanted : { ...wanted, command: await withUnlockToken(deps, device, wanted.command) }
  return change(deps, request, reply, 202, async (work) => {
    const target = { enrollment, device: device.id }
    const { id, deduplicated } = await enqueue(deps, work, target, { ...complete, forced: checked.overridden })
    if (deduplicated) reply.code(200)
    return { ...(await shown(work, id)), deduplicated, warnings: checked.warnings }
  })
}

/** The device's own channel, or that of one of its users. */
async function channelOf(deps: Deps, device: DeviceRow, wanted: string | undefined): Promise<EnrollmentId> {
  return wanted === undefined ? device.enrollment_id : getUserChannel(deps.db.read, device.enrollment_id, wanted)
}

async function shown(work: Work, id: string): Promise<z.output<typeof commandDetail>> {
  const row = await findCommand(work.tx, id)
  if (!row) throw new Error('the command was not written')
  return shapeDetail(work.tx, row)
}

async function list(deps: Deps, query: z.output<typeof listQuery>, device: DeviceId | undefined) {
  const { limit, cursor, state, type } = query
  const name = `commands ${device ?? ''} ${state ?? ''} ${type ?? ''}`
  const states = state === undefined ? undefined : state.startsWith('push_') ? ['queued'] : [state]
  const before = readCursor(deps.vault, name, cursor)
  const rows = await listCommands(deps.db.read, { device, states, requestType: type, before, limit: limit + 1 })
  return page(deps.vault, name, rows, limit, (row) => row.id, shapeSummary)
}
