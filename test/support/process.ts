import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { inject } from 'vitest'

/** One log line; `{ text }` where the server wrote something that is not JSON. */
export type LogLine = Record<string, unknown>

/** A compiled server in a process of its own, listening on loopback ports of its own. */
export interface ServerProcess {
  /** Main listener, such as https://127.0.0.1:43211. */
  url: string
  /** Plain HTTP; '' when off. */
  httpUrl: string
  /** Metrics; '' when off. */
  metricsUrl: string
  pid: number
  dataFolder: string
  /** All it has written so far. */
  lines: LogLine[]
  /** The same as it came, by stream: JSON for machines on stdout, words for people on stderr. */
  said: Record<'stdout' | 'stderr', string[]>
  /**
   * The first line that matches, waiting for it if need be; rejects with the output when the server ends without it.
   */
  line(matches: (line: LogLine) => boolean): Promise<LogLine>
  kill(signal: NodeJS.Signals): void
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

export interface ServerOptions {
  /** Empty: the server starts its embedded PostgreSQL in the data folder. */
  databaseUrl?: string
  /** A new one when not given. */
  dataFolder?: string
  /** Settings on top, such as { BRAMLEY_TLS: 'off' }. */
  env?: Record<string, string>
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PATIENCE_MS = 30_000
let built = false

/** Starts `bramley serve` and waits until it is ready. Rejects with all it wrote when it ends before. */
export async function startServer(o: ServerOptions = {}): Promise<ServerProcess> {
  ensureBuilt()
  const dataFolder = o.dataFolder ?? mkdtempSync(join(inject('runFolder'), 'data-'))
  const child = spawnBramley(['serve'], { ...o, dataFolder })
  const output = collect(child)
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
  const ready = await output.line((line) => line['msg'] === 'ready').finally(() => clearTimeout(timer))
  const address = (name: string): string => text(ready[name]) ?? ''
  return {
    ...output,
    url: address('listen'),
    httpUrl: address('httpListen'),
    metricsUrl: address('metricsListen'),
    pid: child.pid ?? 0,
    dataFolder,
    kill: (signal) => void child.kill(signal),
  }
}

export interface CommandResult {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs `bramley` with these arguments to its end, with the settings that `startServer` gives a server. */
export async function runBramley(args: string[], o: ServerOptions = {}): Promise<CommandResult> {
  ensureBuilt()
  const dataFolder = o.dataFolder ?? mkdtempSync(join(inject('runFolder'), 'data-'))
  const child = spawnBramley(args, { ...o, dataFolder })
  const { said, exited } = collect(child)
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
  const { code } = await exited.finally(() => clearTimeout(timer))
  return { code, stdout: said.stdout.join('\n'), stderr: said.stderr.join('\n') }
}

function spawnBramley(args: string[], o: ServerOptions & { dataFolder: string }): ChildProcess {
  return spawn(
    process.execPath,
    ['--import', join(ROOT, 'test/support/die-with-parent.mjs'), join(ROOT, 'dist/cli/main.js'), ...args],
    {
      cwd: o.dataFolder, // no bramley.yaml of the developer's
      env: { ...inherited(), ...defaults(o.databaseUrl, o.dataFolder), ...o.env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    },
  )
}

/** Builds `dist` when a source is newer, so that nobody tests yesterday's server. */
export function ensureBuilt(): void {
  if (built) return
  const boot = spawnSync(process.execPath, [join(ROOT, 'scripts/boot.mjs')], { encoding: 'utf8' })
  if (boot.status !== 0) throw new Error(`scripts/boot.mjs failed\n${boot.stdout}${boot.stderr}`)
  built = true
}

/** The suite's own variables stay out: the server refuses settings it does not know. */
function inherited(): Record<string, string> {
  const names = ['PATH', 'HOME', 'TMPDIR', 'LANG']
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  )
}

function defaults(databaseUrl: string | undefined, dataFolder: string): Record<string, string> {
  return {
    BRAMLEY_LISTEN: '127.0.0.1:0',
    BRAMLEY_HTTP_LISTEN: '127.0.0.1:0',
    BRAMLEY_METRICS_LISTEN: '127.0.0.1:0',
    BRAMLEY_SIMULATOR: '0',
    BRAMLEY_SIMULATOR_LISTEN: '127.0.0.1:0',
    BRAMLEY_LOG_FORMAT: 'json',
    BRAMLEY_DATA: dataFolder,
    ...(databaseUrl ? { BRAMLEY_DATABASE_URL: databaseUrl } : {}),
  }
}

type Output = Pick<ServerProcess, 'lines' | 'said' | 'line' | 'exited'>

function collect(child: ChildProcess): Output {
  const lines: LogLine[] = []
  const said: Output['said'] = { stdout: [], stderr: [] }
  const waiting = new Set<() => void>()
  for (const name of ['stdout', 'stderr'] as const) {
    const stream = child[name]
    if (!stream) continue
    createInterface({ input: stream }).on('line', (line) => {
      said[name].push(line)
      lines.push(parse(line))
      for (const look of waiting) look()
    })
  }
  // 'close' comes after the last line, 'exit' may not.
  const exited: Output['exited'] = new Promise((done) => child.once('close', (code, signal) => done({ code, signal })))
  const line: Output['line'] = (matches) =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = lines.find(matches)
        if (found) resolve(found)
        if (found) waiting.delete(look)
      }
      waiting.add(look)
      look()
      void exited.then(({ code, signal }) =>
        reject(new Error(`the server ended (${signal ?? code}):\n${print(lines)}`)),
      )
    })
  return { lines, said, line, exited }
}

function parse(line: string): LogLine {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null) return value as LogLine
  } catch {
    // a line for people
  }
  return { text: line }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function print(lines: LogLine[]): string {
  return lines.map((line) => text(line['text']) ?? JSON.stringify(line)).join('\n')
}
