import { DrizzleQueryError } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { createLog } from '../../src/base/log.ts'

/** What one call of the log writes. */
function written(fields: object, level = 'info'): Record<string, unknown> {
  const lines: string[] = []
  createLog(level, { write: (line) => void lines.push(line) }).error(fields, 'said')
  expect(lines).toHaveLength(1)
  return JSON.parse(lines[0] ?? '') as Record<string, unknown>
}

const NAMES = [
  'authorization', 'cookie', 'mdm-signature', 'client-cert', 'password', 'Password', 'passphrase', 'challenge', 'token', 'Token',
  'push_token', 'pushMagic', 'PushMagic', 'push_magic', 'unlockToken', 'UnlockToken', 'BootstrapToken', 'privateKey', 'pin', 'PIN', 'secret',
]

describe('a log line', () => {
  it('is one JSON object with time, level and words', () => {
    const { time, ...rest } = written({ device: 'dev_1', status: 200 })
    expect(rest).toEqual({ level: 'error', device: 'dev_1', status: 200, msg: 'said' })
    expect(new Date(String(time)).toISOString()).toBe(time)
  })

  it('is not written below the level', () => {
    const lines: string[] = []
    const log = createLog('warn', { write: (line) => void lines.push(line) })
    log.debug('a')
    log.info('b')
    log.warn('c')
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(['c'])
  })

  it.each(NAMES)('holds nothing of what is called %s, at any depth that lines have', (name) => {
    const secret = { [name]: 'SECRET' }
    for (const [depth, fields] of [secret, { request: secret }, { request: { headers: secret } }].entries()) {
      const text = JSON.stringify(written({ ...fields, route: '/mdm' }))
      expect(text, `depth ${depth}`).not.toContain('SECRET')
      expect(text, `depth ${depth}`).toContain('"<redacted>"')
      expect(text, `depth ${depth}`).toContain('/mdm')
    }
  })

  it('holds nothing of a secret that is more than a text', () => {
    const text = JSON.stringify(written({ token: { bytes: ['SECRET'] }, list: { UnlockToken: Buffer.from('SECRET') } }))
    expect(text).not.toContain('SECRET')
    expect(text).not.toContain(String(Buffer.from('SECRET')[0]))
  })
})

describe('an error in the log', () => {
  it('tells its kind, its code and where it happened', () => {
    const { err } = written({ err: Object.assign(new TypeError('not a function'), { code: 'X1' }) })
    expect(err).toMatchObject({ type: 'TypeError', code: 'X1', stack: expect.stringMatching(/not a function[^]*log\.test\.ts/) })
  })

  it('tells no value: neither the parameters of Drizzle’s query nor the row that PostgreSQL quotes', () => {
    const refused = Object.assign(new Error('violates check constraint'), { code: '23514', detail: 'Failing row contains (SECRET).', where: 'SECRET' })
    const text = JSON.stringify(written({ err: new DrizzleQueryError('insert into keys values ($1)', ['SECRET'], refused) }))
    expect(text).not.toContain('SECRET')
    for (const word of ['insert into keys', '23514', 'violates check constraint']) expect(text).toContain(word)
    expect(JSON.stringify(written({ err: refused }))).not.toContain('SECRET')
  })

  it('may be something that is no error', () => {
    expect(written({ err: 'SECRET' })['err']).toEqual({ type: 'string' })
  })
})
