import { spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBramley, TOPIC, until, type TestServer } from '../support/bramley.ts'

const CLIENT = fileURLToPath(new URL('../support/second_client.py', import.meta.url))

let server: TestServer
beforeAll(async () => {
  server = await startBramley()
})
afterAll(() => server.stop())

interface Step {
  step: string
  udid?: string
  access_rights?: number
  topic?: string
  subject?: string
}

/** Runs the client and tells its steps as they come. */
async function play(link: string, extra: string[], onStep: (step: Step) => void): Promise<{ code: number | null; errors: string }> {
  const apnsCa = join(server.dataFolder, 'apns-ca.pem')
  const ca = join(server.dataFolder, 'tls', 'ca.pem')
  writeFileSync(apnsCa, server.apns.caPem)
  const child = spawn('python3', [CLIENT, '--url', server.url, '--ca', ca, '--link', link, '--apns', `127.0.0.1:${server.apns.port}`, '--apns-ca', apnsCa, ...extra], { stdio: ['ignore', 'pipe', 'pipe'] })
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  createInterface({ input: child.stdout }).on('line', (line) => onStep(JSON.parse(line) as Step))
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, errors }
}

// Debian's scepclient is on CI's machines (.ci/run installs it); elsewhere the client speaks SCEP with openssl alone.
const ways = spawnSync('scepclient', ['-version']).error ? [[]] : [[], ['--scepclient']]

describe('a client that shares no code with us (curl, openssl, plistlib, scepclient)', () => {
  it.each(ways.map((extra) => [extra.join(' ') || 'openssl', extra] as const))('takes a link, enrolls, is pushed, acknowledges a command and leaves (%s)', async (_name, extra) => {
    const link = await server.link({ access_rights: 8191, max_uses: 1 })
    const steps: Step[] = []
    let queued: Promise<{ id: string }> | undefined
    const { code, errors } = await play(link, extra, (step) => {
      steps.push(step)
      if (step.step === 'listening') {
        const udid = steps.find((earlier) => earlier.udid !== undefined)?.udid ?? ''
        queued = server.api('POST', `/devices/${udid}/commands`, { type: 'DeviceInformation', params: { Queries: ['DeviceName'] } }).then((answer) => answer.json<{ id: string }>())
      }
    })
    expect({ code, errors }).toEqual({ code: 0, errors: '' })
    expect(steps.map((step) => step.step)).toEqual(['profile', 'identity', 'enrolled', 'listening', 'pushed', 'answered', 'left'])
    expect(steps[0]).toMatchObject({ access_rights: 8191, topic: TOPIC })
    const command = (await server.api('GET', `/commands/${(await queued!).id}`)).json<Record<string, unknown>>()
    expect(command).toMatchObject({ state: 'acknowledged', result: { QueryResponses: { DeviceName: 'Second client' } } })
    const udid = steps[2]?.udid ?? ''
    const device = await until(async () => {
      const shown = (await server.api('GET', `/devices/${udid}`)).json<{ name: string | null }>()
      return shown.name === null ? false : shown
    }, 'the name')
    expect(device).toMatchObject({ name: 'Second client', enrollment: { state: 'unenrolled' } })
    expect(server.apns.violations).toEqual([])
  })
})
