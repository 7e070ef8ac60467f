import { z } from 'zod'
import type { ApiApp } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import { schemaVersion } from '../../base/migrate.ts'
import { VERSION } from '../../base/version.ts'
import type { RouteBook } from './routes.ts'

const SERVER_VERSION = { name: 'server_version', text: 'show server_version' }
const tags = ['Service']

const linksShape = z.object({ links: z.record(z.string(), z.string()) })
const statusShape = z.object({
  version: z.string(),
  node: z.string(),
  uptime_seconds: z.int(),
  public_url: z.string(),
  schema_version: z.int(),
  database: z.object({ kind: z.enum(['embedded', 'external']), version: z.string() }),
  simulator: z.enum(['auto', 'on', 'off']).describe('The setting BRAMLEY_SIMULATOR'),
})

/** The API about itself: where things are, how it is, and its own description. */
export function registerService(app: ApiApp, deps: Deps, book: RouteBook): void {
  app.get('/', {
    config: { scope: 'anyone' },
    schema: { tags, summary: 'Where everything is', response: { 200: linksShape } },
  }, async () => ({ links: linksOf(book.collections(), app.prefix) }))

  app.get('/status', {
    config: { scope: 'any-key' },
    schema: { tags, summary: 'How this server is', response: { 200: statusShape } },
  }, async () => statusOf(deps))

  app.get('/openapi.json', {
    config: { scope: 'anyone' },
    schema: { tags, summary: 'This description, OpenAPI 3.1', response: { 200: z.record(z.string(), z.unknown()) } },
  }, async () => ({ ...app.swagger() }))
}

async function statusOf(deps: Deps): Promise<z.output<typeof statusShape>> {
  const kind = deps.config.databaseUrl === undefined ? 'embedded' : 'external'
  const [server] = await deps.db.read.rows<{ server_version: string }>(SERVER_VERSION, [])
  return {
    version: VERSION,
    node: process.versions.node,
    uptime_seconds: Math.floor(process.uptime()),
    public_url: deps.config.publicUrl.origin,
    schema_version: await schemaVersion((sql) => deps.db.pool.query(sql)),
    database: { kind, version: server?.server_version ?? 'unknown' },
    simulator: deps.config.simulator,
  }
}

function linksOf(urls: string[], prefix: string): Record<string, string> {
  return Object.fromEntries(urls.filter((url) => url !== prefix)
    .map((url) => [url.slice(prefix.length + 1).replaceAll(/[/.-]/g, '_'), url]))
}
