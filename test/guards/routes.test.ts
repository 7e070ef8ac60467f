import Fastify from 'fastify'
import { existsSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { SCOPES } from '../../src/base/api.ts'
import { adminDoor, type Feature } from '../../src/doors/admin/index.ts'
import { testDeps } from '../support/deps.ts'

type Json = Record<string, unknown>
interface Operation extends Json {
  route: string
  requestBody?: { content: Record<string, { schema: Json }> }
  responses: Record<string, { content?: Json }>
}

const FEATURES = fileURLToPath(new URL('../../src/features/', import.meta.url))
const METHODS = ['get', 'put', 'post', 'delete', 'patch', 'head', 'options']
let document: Json
let operations: Operation[]
let silent: string[]

beforeAll(async () => {
  const rooms = readdirSync(FEATURES).filter((room) => existsSync(`${FEATURES}${room}/api.ts`))
  const found = await Promise.all(rooms.map(async (room) => ({ room, features: await featuresOf(room) })))
  silent = found.filter(({ features }) => features.length === 0).map(({ room }) => room)
  const deps = testDeps('postgres://nobody@127.0.0.1:1/nothing')
  const app = Fastify({ logger: false })
  await app.register(adminDoor(deps, found.flatMap(({ features }) => features)), { prefix: '/api/v1' })
  document = (await app.inject('/api/v1/openapi.json')).json<Json>()
  const paths = document['paths'] as Record<string, Record<string, Operation>>
  operations = Object.entries(paths).flatMap(([path, item]) => (
    METHODS.flatMap((method) => (item[method] ? [{ ...item[method], route: `${method.toUpperCase()} ${path}` }] : []))
  ))
  await app.close()
  await deps.db.close()
})

/** Every `register…` that a room's index.ts shows; what else it wants to be handed is needed by requests only. */
async function featuresOf(room: string): Promise<Feature[]> {
  const exported = (await import(`${FEATURES}${room}/index.ts`)) as Json
  return Object.entries(exported).flatMap(([name, register]): Feature[] => {
    if (!name.startsWith('register') || typeof register !== 'function') return []
    return [(app, deps) => void Reflect.apply(register, undefined, [app, deps, {}, {}])]
  })
}

/** Every schema inside a schema, with the way to it. */
function within(schema: unknown, path: string): [string, Json][] {
  if (typeof schema !== 'object' || schema === null) return []
  const inner = Object.entries(schema).flatMap(([key, value]) => within(value, `${path}/${key}`))
  return Array.isArray(schema) ? inner : [[path, schema as Json], ...inner]
}

const faulty = (isFine: (operation: Operation) => boolean) => (
  operations.filter((one) => !isFine(one)).map(({ route }) => route)
)

describe('every route of the admin door', () => {
  it('is looked at here', () => {
    expect(silent).toEqual([])
    const routes = operations.map(({ route }) => route)
    expect(routes).toEqual(expect.arrayContaining(['POST /api/v1/setup', 'GET /api/v1/me']))
  })

  it('has a scope that exists', () => {
    const known: unknown[] = [...SCOPES, 'any-key', 'anyone']
    expect(faulty((operation) => known.includes(operation['x-scope']))).toEqual([])
  })

  it('needs a key, except the few that cannot', () => {
    const open = operations.filter((operation) => operation['x-scope'] === 'anyone').map(({ route }) => route)
    expect(open.toSorted()).toEqual(['GET /api/v1/', 'GET /api/v1/openapi.json', 'POST /api/v1/setup'])
  })

  it('has a tag and a summary', () => {
    expect(faulty(({ tags }) => Array.isArray(tags) && tags.length > 0)).toEqual([])
    expect(faulty(({ summary }) => typeof summary === 'string' && summary.length > 0)).toEqual([])
  })

  it('describes its good answer and its refusals', () => {
    expect(faulty(({ responses }) => {
      const good = Object.entries(responses).filter(([status]) => /^[23]\d\d$/.test(status))
      const described = good.every(([status, answer]) => status === '204' || answer.content !== undefined)
      const refused = JSON.stringify(responses['default']) ?? ''
      return good.length > 0 && described && refused.includes('#/components/schemas/Problem')
    })).toEqual([])
  })

  it('takes no unknown key in its body, at any depth', () => {
    const bodies = operations.flatMap(({ route, requestBody }) => within(requestBody?.content, route))
    const objects = bodies.filter(([, schema]) => schema['type'] === 'object')
    const open = objects.filter(([, schema]) => schema['additionalProperties'] === undefined)
    expect(bodies.length).toBeGreaterThan(0)
    expect(open.map(([path]) => path)).toEqual([])
  })
})

describe('the OpenAPI document', () => {
  it('has no reference that leads nowhere', () => {
    const schemas = (document['components'] as { schemas: Json }).schemas
    const references = within(document, '').flatMap(([, { $ref }]) => (typeof $ref === 'string' ? [$ref] : []))
    expect(references.length).toBeGreaterThan(0)
    expect([...new Set(references)].filter((one) => !((one.split('/').at(-1) ?? '') in schemas))).toEqual([])
  })
})
