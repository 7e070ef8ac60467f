import { Command } from 'commander'
import { readFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { join } from 'node:path'
import { SCOPES } from '../base/api.ts'
import type { Config } from '../base/config.ts'
import { describeListen } from '../base/listen-address.ts'
import { reasonOf } from '../demo-device.ts'
import { createKey } from '../features/access/index.ts'
import { withLocalDeps } from './local.ts'

const PATIENCE_MS = 10_000

/** `bramley setup`: makes an API key on the machine of the server, without a token: whoever can read its files may. */
export function setupCommand(): Command {
  return new Command('setup')
    .description('Make an API key on this machine. It is shown once.')
    .option('--name <name>', 'what the key is for', 'setup')
    .option('--sample', 'let the server play six simulated phones')
    .action(async ({ name, sample }: { name: string; sample?: true }) => {
      const { key, config } = await withLocalDeps(async (deps) => ({
        key: await deps.work({ kind: 'system' }, (work) => createKey(work, { name, scopes: SCOPES })),
        config: deps.config,
      }))
      process.stderr.write('This key can do everything. It is shown once; keep it like a password.\n')
      process.stdout.write(`${key.token}\n`)
      if (sample) process.stderr.write(`${await addSample(config, key.token)}\n`)
    })
}

/** Asks the running server for the sample fleet; what came of it, in one line. The key is there either way. */
async function addSample(config: Config, token: string): Promise<string> {
  const url = new URL('/api/v1/simulator/devices', apiOrigin(config))
  try {
    const { status, body } = await post(config, url, token)
    const said = JSON.parse(body) as { data?: unknown[]; detail?: string; hint?: string }
    if (status !== 202) return `No simulated phones: ${said.detail ?? status}. ${said.hint ?? ''}`.trimEnd()
    const count = said.data?.length ?? 0
    return count > 0 ? `${count} simulated phones are enrolling.` : 'The simulated phones are there already.'
  } catch (error) {
    return `No simulated phones: the server does not answer at ${url.origin} (${reasonOf(error)}).`
  }
}

/** Where the API is served for this machine. */
function apiOrigin({ adminListen, publicUrl, tls }: Config): string {
  if (!adminListen) return publicUrl.origin
  const host = ['', '0.0.0.0', '::'].includes(adminListen.host) ? 'localhost' : adminListen.host
  return `${tls === 'self' ? 'https' : 'http'}://${describeListen({ ...adminListen, host })}`
}

function post(config: Config, url: URL, token: string): Promise<{ status: number; body: string }> {
  const secure = url.protocol === 'https:'
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const options = { method: 'POST', headers, timeout: PATIENCE_MS }
  return new Promise((resolve, reject) => {
    const trust = secure && config.tls === 'self' ? { ca: readFileSync(join(config.dataFolder, 'tls', 'ca.pem')) } : {}
    const request = secure ? httpsRequest(url, { ...options, ...trust }) : httpRequest(url, options)
    request.on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }))
    })
    request.on('timeout', () => request.destroy(new Error('it takes too long')))
    request.on('error', reject)
    request.end('{"sample":true}')
  })
}
