import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { send } from '../support/bramley.ts'
import { freshDatabase } from '../support/pg.ts'
import { runBramley, startServer, type ServerProcess } from '../support/process.ts'

/** A server on its embedded database, and commands given in another process on the same data folder. */
let server: ServerProcess
beforeAll(async () => {
  server = await startServer()
})
afterAll(async () => {
  server.kill('SIGTERM')
  await server.exited
})

const here = () => ({ dataFolder: server.dataFolder })
const me = (token: string) => send(server.httpUrl, undefined, 'GET', '/api/v1/me', { headers: { authorization: `Bearer ${token}` } })

describe('bramley setup, beside a running server', () => {
  it('prints a key that works, alone on stdout, and everything else on stderr', async () => {
    const { code, stdout, stderr } = await runBramley(['setup', '--name', 'laptop'], here())
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^brm_live_[0-9A-Za-z]{43}_[0-9a-f]{8}$/)])
    expect(stderr).toBe('This key can do everything. It is shown once; keep it like a password.')
    const answer = await me(stdout)
    expect([answer.status, answer.json()['name']]).toEqual([200, 'laptop'])
  })

  it('makes another key each time', async () => {
    const [one, two] = [await runBramley(['setup'], here()), await runBramley(['setup'], here())]
    expect(one.stdout).not.toBe(two.stdout)
    expect([(await me(one.stdout)).status, (await me(two.stdout)).status]).toEqual([200, 200])
  })

  it('makes no secret key where there is none: it would be another one than the server’s', async () => {
    const database = await freshDatabase()
    const dataFolder = mkdtempSync(join(inject('runFolder'), 'data-'))
    const { code, stdout, stderr } = await runBramley(['setup'], { dataFolder, databaseUrl: database.url })
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^bramley: there is no \S+secret\.key: start the server first, or name its file in BRAMLEY_SECRET_KEY_FILE$/)
    expect([readdirSync(dataFolder), await database.query('select id from api_keys')]).toEqual([[], []])
    await database.drop()
  })
})

describe('bramley migrate, beside a running server', () => {
  it('tells the schema and has nothing to do', async () => {
    expect(await runBramley(['migrate', 'status'], here())).toEqual({ code: 0, stdout: expect.stringMatching(/^schema (\d+), this program has \1$/), stderr: '' })
    expect(await runBramley(['migrate', 'up'], here())).toEqual({ code: 0, stdout: expect.stringMatching(/^schema \d+, nothing to do$/), stderr: '' })
  })

  it('leaves the server its database', async () => {
    expect(existsSync(join(server.dataFolder, 'pg', 'data', 'postmaster.pid'))).toBe(true)
    expect((await send(server.httpUrl, undefined, 'GET', '/readyz', {})).status).toBe(200)
  })
})

it('nothing of all this is in the log of the server', () => {
  expect(server.said.stdout.join('\n')).not.toContain('brm_live_')
  expect(readFileSync(join(server.dataFolder, 'pg', 'postgres.log'), 'utf8')).not.toContain('brm_live_')
})
