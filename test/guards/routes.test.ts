import { beforeAll, describe, expect, it } from 'vitest'
import { features } from '../../src/app.ts'
import { SCOPES } from '../../src/base/api.ts'
import { adminApp } from '../support/admin-app.ts'
import { testDeps } from '../support/deps.ts'

type Json = Record<string, unknown>
interface Operation extends Json {
  route: string
  requestBody?: { content: Record<string, { schema: Json }> }
  responses: Record<string, { content?: Json }>
}

const METHODS = ['get', 'put', 'post', 'delete', 'patch', 'head', 'options']
let operations: Operation[]

beforeAll(async () => {
  const deps = testDeps('postgres://nobody@127.0.0.1:1/nothing')
  const app = await adminApp(deps, features())
  const answer = await app.inject('/api/v1/openapi.json')
  const { paths } = answer.json<{ paths: Record<string, Record<string, Operation>> }>()
  operations = Object.entries(paths).flatMap(([path, item]) => (
    METHODS.flatMap((method) => (item[method] ? [{ ...item[method], route: `${method.toUpperCase()} ${path}` }] : []))
  ))
  await app.close()
  await deps.db.close()
})

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
    const routes = operations.map(({ route }) => route)
    expect(routes).toEqual(expect.arrayContaining(['POST /api/v1/setup', 'GET /api/v1/devices', 'GET /api/v1/me']))
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
