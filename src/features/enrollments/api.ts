import { z } from 'zod'
import { change, type ApiApp } from '../../base/api.ts'
import type { Tx } from '../../base/db.ts'
import type { Deps } from '../../base/deps.ts'
import type { EnrollmentId } from '../../base/ids.ts'
import { page, pageOf, pageQuery, readCursor } from '../../base/paging.ts'
import { decide } from './decide.ts'
import { openRenewal } from './open-renewal.ts'
import { countDevices, getDevice, listDevices } from './devices.ts'
import { deviceShape, shapeDevice } from './shape.ts'
import { ENROLLMENT_STATES } from './tables.ts'

/** How many commands wait, asked of the room that knows. */
export type CountOpen = (tx: Tx, enrollments: EnrollmentId[]) => Promise<{ enrollment_id: EnrollmentId; queued: number; not_now: number }[]>

const listQuery = z.strictObject({
  ...pageQuery,
  state: z.enum(ENROLLMENT_STATES).optional(),
  q: z.string().min(1).max(100).optional().describe('Part of the name, serial number or UDID'),
  include: z.literal('total').optional(),
})
const deviceParams = z.object({ device: z.string().min(1).max(128).describe('Id, serial number, UDID or EnrollmentID') })

const renewalShape = z.object({
  device: z.string(),
  scep_url: z.url(),
  challenge: z.string().describe('Good for one certificate; shown once'),
  expires_at: z.iso.datetime(),
})

/** Devices: list, detail, the decision on a held newcomer, and a way to a new identity. */
export function registerDevices(app: ApiApp, deps: Deps, countOpen: CountOpen): void {
  app.get('/devices', {
    config: { scope: 'devices:read' },
    schema: { tags: ['Devices'], summary: 'List devices', querystring: listQuery, response: { 200: pageOf(deviceShape).extend({ total: z.int().optional() }) } },
  }, async (request) => {
    const { limit, cursor, state, q, include } = request.query
    const list = `devices ${state ?? ''} ${q ?? ''}`
    const rows = await listDevices(deps.db.read, { after: readCursor(deps.vault, list, cursor), state, search: q, limit: limit + 1 })
    const waiting = new Map((await countOpen(deps.db.read, rows.map((row) => row.enrollment_id))).map((count) => [count.enrollment_id, count]))
    const now = deps.clock()
    const answer = page(deps.vault, list, rows, limit, (row) => row.id, (row) => shapeDevice(row, waitingFor(waiting.get(row.enrollment_id)), now))
    return include === 'total' ? { ...answer, total: await countDevices(deps.db.read, { state, search: q }) } : answer
  })

  app.get('/devices/:device', {
    config: { scope: 'devices:read' },
    schema: { tags: ['Devices'], summary: 'Read a device', params: deviceParams, response: { 200: deviceShape } },
  }, async (request) => {
    const row = await getDevice(deps.db.read, request.params.device)
    const [waiting] = await countOpen(deps.db.read, [row.enrollment_id])
    return shapeDevice(row, waitingFor(waiting), deps.clock())
  })

  for (const decision of ['approve', 'reject'] as const) {
    app.post(`/devices/:device/enrollment/${decision}`, {
      config: { scope: 'enrollment:write' },
      schema: {
        tags: ['Devices'],
        summary: decision === 'approve' ? 'Let a held newcomer take over this device' : 'Turn a held newcomer away',
        params: deviceParams,
        response: { 200: z.object({ device: z.string(), state: z.enum(ENROLLMENT_STATES) }) },
      },
    }, async (request, reply) => {
      const device = await getDevice(deps.db.read, request.params.device)
      return change(deps, request, reply, 200, (work) => decide(work, device.id, decision))
    })
  }

  registerRenewal(app, deps)
}

function registerRenewal(app: ApiApp, deps: Deps): void {
  // Whoever holds the challenge can become this device, and is then given its commands and its bootstrap token.
  app.post('/devices/:device/identity/renewal', {
    config: { scope: 'admin' },
    schema: {
      tags: ['Devices'],
      summary: 'Let a device change to a new identity of our CA and stay enrolled as it is',
      description: 'The challenge goes into the SCEP payload of a newer version of the enrollment profile that the device has, sent by InstallProfile.',
      params: deviceParams,
      response: { 201: renewalShape },
    },
  }, async (request, reply) => {
    const device = await getDevice(deps.db.read, request.params.device)
    return change(deps, request, reply, 201, async (work) => {
      const { challenge, expiresAt } = await openRenewal(work, deps, device)
      return { device: device.id, scep_url: new URL('/scep', deps.config.publicUrl).href, challenge, expires_at: expiresAt.toISOString() }
    })
  })
}

function waitingFor(count: { queued: number; not_now: number } | undefined): { queued: number; not_now: number } {
  return { queued: count?.queued ?? 0, not_now: count?.not_now ?? 0 }
}
