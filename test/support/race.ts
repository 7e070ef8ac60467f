import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { ensureBuilt } from './process.ts'

const DIST = new URL('../../dist/', import.meta.url)

/**
 * Evaluates an expression in several processes at the same moment: each loads the compiled `module` (such as
 * `base/vault.js`) as `m`, says that it is ready, and starts when all are. Gives what each got, as JSON.
 */
export async function race<T>(count: number, module: string, expression: string): Promise<T[]> {
  ensureBuilt()
  const script = `import * as m from ${JSON.stringify(new URL(module, DIST).href)}
    console.log('ready')
    await new Promise((go) => process.stdin.once('data', go))
    process.stdin.pause()
    console.log(JSON.stringify(await (${expression})))`
  const runners = Array.from({ length: count }, () => runner(script))
  await Promise.all(runners.map(({ next }) => next()))
  for (const { child } of runners) child.stdin?.write('go\n')
  return Promise.all(runners.map(async ({ next }) => JSON.parse(await next()) as T))
}

function runner(script: string): { child: ChildProcess; next: () => Promise<string> } {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: fileURLToPath(DIST), stdio: ['pipe', 'pipe', 'pipe'],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const closed = once(child, 'close')
  return {
    child,
    async next() {
      const line = await lines.next()
      if (line.done !== true) return line.value
      await closed
      throw new Error(`a process ended without an answer: ${said}`)
    },
  }
}
