import type { RouteOptions } from 'fastify'
import { z } from 'zod'

/**
 * Every route of the admin door: refuses at the start those that are not described, closes their schemas to unknown
 * keys, and knows which methods a path has.
 */
export class RouteBook {
  readonly #methods = new Map<string, Set<string>>()

  add(route: RouteOptions): void {
    const methods = [route.method].flat()
    demandDescription(route, methods)
    closeSchemas(route)
    const template = withoutSlash(route.url)
    const known = this.#methods.get(template) ?? new Set()
    for (const method of methods) known.add(method)
    this.#methods.set(template, known)
  }

  /** The methods that a path (without query) answers to; none when there is no such path. */
  methodsOf(path: string): string[] {
    const matching = [...this.#methods].filter(([template]) => patternOf(template).test(withoutSlash(path)))
    return [...new Set(matching.flatMap(([, methods]) => [...methods]))].toSorted()
  }

  /** The templates of all routes that answer to GET and have no parameter. */
  collections(): string[] {
    return [...this.#methods].filter(([url, methods]) => methods.has('GET') && !url.includes(':')).map(([url]) => url)
  }
}

function demandDescription(route: RouteOptions, methods: string[]): void {
  const { config, schema } = route
  const missing = [
    config?.scope === undefined && 'config.scope',
    !schema?.tags?.length && 'schema.tags',
    !schema?.summary && 'schema.summary',
    !schema?.response && 'schema.response',
    config?.rawBody && schema?.body !== undefined && 'a choice between rawBody and schema.body',
  ].filter((name) => typeof name === 'string')
  if (missing.length > 0) throw new Error(`${methods.join('|')} ${route.url} lacks ${missing.join(', ')}`)
}

/** An unknown query parameter is a typo in a filter, an unknown body key an attempt to set what is not to be set. */
function closeSchemas(route: RouteOptions): void {
  const { schema } = route
  if (!schema) return
  schema.querystring = closed(schema.querystring ?? z.strictObject({}))
  if (schema.body !== undefined) schema.body = closed(schema.body)
}

function closed(schema: unknown): unknown {
  return schema instanceof z.ZodObject && schema.def.catchall === undefined ? schema.strict() : schema
}

/** The root of the API answers with and without its last slash. */
function withoutSlash(path: string): string {
  return path.replace(/\/$/, '')
}

function patternOf(template: string): RegExp {
  const parts = template.split(/(:[A-Za-z_]+|\*)/).map((part, index) => {
    if (index % 2 === 0) return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    return part === '*' ? '.*' : '[^/]+'
  })
  return new RegExp(`^${parts.join('')}$`)
}
