import { Command } from 'commander'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Config } from '../base/config.ts'
import { describeListen } from '../base/listen-address.ts'
import { environment, readConfig } from '../config.ts'

const PATIENCE_MS = 4_000

/** `bramley healthcheck`: the probe of a container, which has no curl. Exit code 0 when the server on this machine can work. */
export function healthcheckCommand(): Command {
  return new Command('healthcheck').description('Ask the server on this machine whether it can work (/readyz); 1 when it cannot.').action(async () => {
    const { status, body } = await ask(readConfig(environment()))
    process.stdout.write(`${body}\n`)
    process.exitCode = status === 200 ? 0 : 1
  })
}

function ask(config: Config): Promise<{ status: number; body: string }> {
  const { listen, tls } = config
  const host = ['', '0.0.0.0', '::'].includes(listen.host) ? '127.0.0.1' : listen.host
  const url = `${tls === 'off' ? 'http' : 'https'}://${describeListen({ ...listen, host })}/readyz`
  return new Promise((resolve, reject) => {
    const hear = (response: IncomingMessage) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => (body += text))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    }
    const timeout = PATIENCE_MS
    // Whose certificate it is says nothing here: it is asked at this machine, and told nothing.
    const request = tls === 'off' ? httpRequest(url, { timeout }, hear) : httpsRequest(url, { timeout, rejectUnauthorized: false }, hear)
    request.on('timeout', () => request.destroy(new Error(`no answer from ${url} within ${timeout / 1_000} s`)))
    request.on('error', reject).end()
  })
}
