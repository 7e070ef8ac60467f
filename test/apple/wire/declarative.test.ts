import { describe, expect, it } from 'vitest'
import { EMPTY_SET, encodeItems, encodeTokens, readDeclarativeRequest, type DeclarationSet } from '../../../src/apple/wire/declarative.ts'
import { reasonOf } from './reason-of.ts'

describe('an Endpoint', () => {
  it('asks for the tokens, the items, or one declaration, whose Identifier may hold slashes', () => {
    expect(readDeclarativeRequest('tokens', undefined)).toEqual({ endpoint: 'tokens' })
    expect(readDeclarativeRequest('declaration-items', Buffer.from('ignored'))).toEqual({ endpoint: 'declaration-items' })
    expect(readDeclarativeRequest('declaration/asset/a/b..c/d', undefined)).toEqual({ endpoint: 'declaration', kind: 'asset', identifier: 'a/b..c/d' })
  })

  it.each([
    '', '/', 'Tokens', 'tokens/', 'tokens/x', 'declaration', 'declaration/', 'declaration/configuration', 'declaration/configuration/',
    'declaration/Configuration/a', 'declaration/exploit/a', 'declaration/configuration/../../tokens', 'declaration/configuration/./a',
    'declaration/configuration//a', 'declaration/toString/a', 'declarations/asset/a', 'status/x', '../tokens',
  ])('is refused as %j', (endpoint) => {
    expect(reasonOf(() => readDeclarativeRequest(endpoint, Buffer.from('{"StatusItems":{}}')))).toBe('endpoint')
  })
})

describe('the DeclarationsToken', () => {
  const since = new Date('2026-01-31T10:00:00.123Z')
  const tokens = (set: DeclarationSet) => {
    const { SyncTokens } = JSON.parse(encodeTokens(set, since).toString()) as { SyncTokens: { DeclarationsToken: string; Timestamp: string } }
    const items = JSON.parse(encodeItems(set).toString()) as { DeclarationsToken: string }
    return { ...SyncTokens, items: items.DeclarationsToken }
  }
  const a = { Identifier: 'a', ServerToken: '1' }
  const b = { Identifier: 'b', ServerToken: '1' }

  it('is the same in both answers, short enough, and told with a time without fractions', () => {
    const { DeclarationsToken, Timestamp, items } = tokens(EMPTY_SET)
    expect([items, Timestamp]).toEqual([DeclarationsToken, '2026-01-31T10:00:00Z'])
    expect(DeclarationsToken).toMatch(/^[0-9a-f]{64}$/)
  })

  it('changes with the set and with a ServerToken, and not with the order', () => {
    const of = (...items: DeclarationSet['Assets']) => tokens({ ...EMPTY_SET, Assets: items }).DeclarationsToken
    expect(new Set([of(), of(a), of(b), of(a, b), of(a, { ...b, ServerToken: '2' }), of({ Identifier: 'a1', ServerToken: '' })]).size).toBe(6)
    expect(of(a, b)).toBe(of(b, a))
  })
})
