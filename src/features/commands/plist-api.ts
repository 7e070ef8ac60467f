import { z } from 'zod'
import type { ApiApp } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import { Problem } from '../../base/problem.ts'
import { findBody, findCommand } from './read.ts'
import { openResult } from './settle.ts'
import { bodyPlace } from './store.ts'

const params = z.object({ command: z.string().min(1).max(64) })
const tags = ['Commands']
const plist = z.string().describe('An Apple property list')

/** The very bytes that went over the wire. They may hold secrets (passwords, unlock tokens), so they need commands:raw. */
export function registerPlists(app: ApiApp, deps: Deps): void {
  app.get('/commands/:command/request.plist', {
    config: { scope: 'commands:raw' },
    schema: { tags, summary: 'The bytes the device gets', params, response: { 200: plist } },
    serializerCompiler: () => String,
  }, async (request, reply) => {
    const row = await findCommand(deps.db.read, request.params.command)
    const sealed = row && (await findBody(deps.db.read, row.body_id))
    if (!row || !sealed) throw new Problem('not_found', 'There is no such command')
    return reply.type('application/xml; charset=utf-8').send(deps.vault.open(sealed, bodyPlace(row.body_id)).toString())
  })

  app.get('/commands/:command/response.plist', {
    config: { scope: 'commands:raw' },
    schema: { tags, summary: 'The bytes the device answered', params, response: { 200: plist } },
    serializerCompiler: () => String,
  }, async (request, reply) => {
    const row = await findCommand(deps.db.read, request.params.command)
    if (!row) throw new Problem('not_found', 'There is no such command')
    if (!row.sealed_raw) throw new Problem('not_found', row.reason ?? 'The device has not answered this command')
    return reply.type('application/xml; charset=utf-8').send(openResult(deps, row, row.sealed_raw).toString())
  })
}
