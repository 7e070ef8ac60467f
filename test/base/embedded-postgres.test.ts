import { spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterEach, beforeAll, beforeEach, describe, expect, inject, it, onTestFinished, vi } from 'vitest'
import { endPostmaster, isPostmaster, isRunning, readLockFile } from '../../src/base/embedded-postgres-process.ts'
import {
  databaseUrl,
  findEmbeddedPostgres,
  startEmbeddedPostgres,
  type EmbeddedConnection,
  type EmbeddedOptions,
} from '../../src/base/embedded-postgres.ts'
import { ensureBuilt } from '../support/process.ts'

const BIN = process.env['BRAMLEY_TEST_PG_BIN']
const IN_USE =
  /^Another Bramley already runs on \S+ \(its PostgreSQL is process \d+\): stop that one, or set BRAMLEY_DATA/

let used: string
let parent: string
let folder: string

// Making a cluster takes most of a second; tests that are not about that use one that has been there before.
beforeAll(async () => {
  used = temporaryFolder()
  folder = used
  await (await start()).stop()
})

beforeEach(() => {
  parent = temporaryFolder()
  folder = join(parent, 'pg')
})

afterEach(async () => {
  const left = readLockFile(join(folder, 'data'))
  if (left && isRunning(left.pid)) await endPostmaster(left.pid, 'immediate')
  rmSync(parent, { recursive: true, force: true })
})

const start = (more: Partial<EmbeddedOptions> = {}) =>
  startEmbeddedPostgres({ folder, ...(BIN ? { binFolder: BIN } : {}), ...more })

const restart = (more: Partial<EmbeddedOptions> = {}) => {
  folder = used
  return start(more)
}

async function ask<R extends Record<string, unknown>>(connection: EmbeddedConnection, sql: string): Promise<R[]> {
  const client = new pg.Client({ connectionString: databaseUrl(connection) })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query<R>(sql)).rows
  } finally {
    await client.end()
  }
}

describe('a start', () => {
  it('makes a durable server that only this user reaches, and keeps the rows over a restart', async () => {
    const first = await start()
    const [settings] = await ask(
      first.connection,
      `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit,
              current_setting('full_page_writes') as pages,
              current_setting('data_checksums') as checksums, current_setting('listen_addresses') as addresses,
              current_setting('server_encoding') as encoding, lower('ÄÖ') as lower`,
    )
    expect(settings).toEqual({
      fsync: 'on',
      commit: 'on',
      pages: 'on',
      checksums: 'on',
      addresses: '',
      encoding: 'UTF8',
      lower: 'äö',
    })
    expect(statSync(first.connection.host).mode & 0o777).toBe(0o700)
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    await ask(first.connection, 'create table kept as select 7 as value')
    await first.stop()
    const second = await start()
    expect(await ask(second.connection, 'select value from kept')).toEqual([{ value: 7 }])
    expect(second.connection).toEqual(first.connection)
    await second.stop()
  })

  it('works below a folder that other users may not enter', async () => {
    chmodSync(parent, 0o700)
    const server = await startEmbeddedPostgres({ folder })
    expect(await ask(server.connection, 'select 1 as one')).toEqual([{ one: 1 }])
    await server.stop()
  })

  it('puts the socket into the temporary folder when the path is too long for one', async () => {
    folder = join(parent, 'a'.repeat(100), 'pg')
    mkdirSync(join(folder, '..'))
    const server = await start()
    expect(server.connection.host.startsWith(join(tmpdir(), 'bramley-pg-'))).toBe(true)
    expect(await ask(server.connection, 'select 1 as one')).toEqual([{ one: 1 }])
    expect(await findEmbeddedPostgres(folder)).toEqual(server.connection)
    await server.stop()
    expect(existsSync(server.connection.host)).toBe(false)
  })

  it('says in one line what to set when there are no programs for this machine', async () => {
    const message = /^There is no PostgreSQL that runs here \(\/nowhere\): set BRAMLEY_DATABASE_URL to a Postg[^\n]+$/
    await expect(start({ binFolder: '/nowhere' })).rejects.toThrow(message)
  })

  it('refuses data of another major version', async () => {
    mkdirSync(join(folder, 'data'), { recursive: true })
    writeFileSync(join(folder, 'data/PG_VERSION'), '9\n')
    await expect(start()).rejects.toThrow(/data was made by PostgreSQL 9 and this is PostgreSQL \d+/)
  })

  it('shows the end of the log when the server cannot start', async () => {
    await expect(restart({ settings: { shared_buffers: 'plenty' } })).rejects.toThrow(
      /PostgreSQL did not start in .*: .*shared_buffers/,
    )
  })

  it('finishes what a start killed in the middle left, and removes it', async () => {
    mkdirSync(join(folder, 'data.new-killed/base'), { recursive: true })
    const server = await start()
    expect(readdirSync(folder).filter((name) => name.startsWith('data'))).toEqual(['data'])
    await server.stop()
  })
})

describe('stopping', () => {
  it('leaves no process and no lock file', async () => {
    const server = await restart()
    await server.stop()
    await server.stop()
    expect(isRunning(server.pid)).toBe(false)
    expect(existsSync(join(folder, 'data/postmaster.pid'))).toBe(false)
    expect(await findEmbeddedPostgres(folder)).toBeUndefined()
  })

  it('is not reported as an accident', async () => {
    const onExit = vi.fn<(detail: string) => void>()
    const server = await restart({ onExit })
    await server.stop()
    expect(onExit).not.toHaveBeenCalled()
  })
})

describe('a second process', () => {
  it('is refused while the first one lives', async () => {
    const server = await restart()
    await expect(start()).rejects.toThrow(IN_USE)
    expect(await ask(server.connection, 'select 1 as one')).toEqual([{ one: 1 }])
    await server.stop()
  })

  it('is refused also when both start at the same moment on a new folder', async () => {
    const both = await Promise.allSettled([start(), start()])
    const [running] = both.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    const refusals = both.flatMap((one) => (one.status === 'rejected' ? [String(one.reason.message)] : []))
    expect(refusals).toEqual([expect.stringMatching(IN_USE)])
    expect(running && (await ask(running.connection, 'select 1 as one'))).toEqual([{ one: 1 }])
    await running?.stop()
  })

  it('finds the running server, as the command line does', async () => {
    expect(await findEmbeddedPostgres(folder)).toBeUndefined()
    const server = await restart()
    expect(await findEmbeddedPostgres(folder)).toEqual(server.connection)
    expect(new URL(databaseUrl(server.connection)).pathname).toBe('/bramley')
    await server.stop()
  })
})

it('takes a zombie for dead, though it still answers signals', async () => {
  // The shell becomes a sleep that never collects its child.
  const script = 'exec 3<&0; read end <&3 & echo $!; exec sleep 60'
  const holder = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void holder.kill())
  const [line] = (await once(createInterface({ input: holder.stdout }), 'line')) as [string]
  expect(isRunning(Number(line))).toBe(true)
  holder.stdin.end()
  await vi.waitFor(() => expect(isRunning(Number(line))).toBe(false), { timeout: 10_000 })
  expect(process.kill(Number(line), 0)).toBe(true)
})

describe('an accident', () => {
  it('of this process loses nothing committed: the next start ends what was left and goes on', async () => {
    const dead = await killedParent()
    expect(isPostmaster(dead, join(folder, 'data'))).toBe(true)
    const server = await start()
    expect(isRunning(dead)).toBe(false)
    expect(await ask(server.connection, 'select value from kept')).toEqual([{ value: 'committed' }])
    await server.stop()
  })

  it('of server and process loses nothing committed, though a stranger has the number of the dead server', async () => {
    const first = await restart()
    await ask(first.connection, 'create table survived as select 7 as value')
    await first.stop('immediate')
    const stranger = spawn('sleep', ['60'], { uid: statSync(join(folder, 'data')).uid })
    onTestFinished(() => void stranger.kill())
    const lock = join(folder, 'data/postmaster.pid')
    writeFileSync(lock, [stranger.pid, join(folder, 'data'), 1, 5432, '../run', '', '0 0', 'ready   ', ''].join('\n'))
    writeFileSync(
      join(first.connection.host, '.s.PGSQL.5432.lock'),
      [stranger.pid, join(folder, 'data'), 1, 5432, '', ''].join('\n'),
    )
    const server = await start()
    expect(await ask(server.connection, 'select value from survived')).toEqual([{ value: 7 }])
    await server.stop()
  })

  it('that left an empty lock file does not keep the server from starting', async () => {
    const lock = join(used, 'data/postmaster.pid')
    writeFileSync(lock, '')
    utimesSync(lock, 0, 0)
    const server = await restart()
    expect(await ask(server.connection, 'select 1 as one')).toEqual([{ one: 1 }])
    await server.stop()
  })

  it('of the server is reported with the end of its log', async () => {
    const accidents = new EventEmitter()
    const told = once(accidents, 'exit')
    const server = await restart({ onExit: (detail) => accidents.emit('exit', detail) })
    process.kill(server.pid, 'SIGQUIT')
    expect(await told).toEqual([expect.stringContaining('immediate shutdown')])
    await server.stop()
  })

  it('of one connection is survived, and the folder stays ours', async () => {
    const onExit = vi.fn<(detail: string) => void>()
    const server = await restart({ onExit })
    const [backend] = await ask<{ pid: number }>(
      server.connection,
      `select pid from pg_stat_activity where application_name = 'bramley owner'`,
    )
    process.kill(backend?.pid ?? 0, 'SIGKILL')
    const owned = `select count(*)::int as locks from pg_locks where locktype = 'advisory' and pid <> ${backend?.pid}`
    await vi.waitFor(async () => expect(await ask(server.connection, owned)).toEqual([{ locks: 1 }]), {
      timeout: 20_000,
    })
    await expect(start()).rejects.toThrow(IN_USE)
    expect(onExit).not.toHaveBeenCalled()
    await server.stop()
  })
})

function temporaryFolder(): string {
  const made = mkdtempSync(join(inject('runFolder'), 'embedded-'))
  chmodSync(made, 0o711)
  return made
}

/**
 * Starts a process that starts the server and commits a row, kills that process, and gives back the number of the
 * server.
 */
async function killedParent(): Promise<number> {
  ensureBuilt()
  folder = used
  const built = fileURLToPath(new URL('../../dist/base/embedded-postgres.js', import.meta.url))
  const script = join(parent, 'parent.mjs')
  writeFileSync(
    script,
    `import { createRequire } from 'node:module'
     import { startEmbeddedPostgres, databaseUrl } from ${JSON.stringify(built)}
     const pg = createRequire(${JSON.stringify(built)})('pg')
     const server = await startEmbeddedPostgres(${JSON.stringify({ folder, ...(BIN ? { binFolder: BIN } : {}) })})
     const client = new pg.Client({ connectionString: databaseUrl(server.connection) })
     await client.connect()
     await client.query("create table kept as select 'committed' as value")
     console.log(server.pid)`,
  )
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const [pid] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  child.kill('SIGKILL')
  await exited
  return Number(pid)
}
