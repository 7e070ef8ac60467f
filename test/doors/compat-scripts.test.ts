import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { KEY, startBramley, TOPIC, type TestServer } from '../support/bramley.ts'
import { command, queued, type Result } from '../support/compat.ts'
import { ensureBuilt } from '../support/process.ts'
import { enrolledDevice, uuidOf, type RawDevice } from '../support/raw-device.ts'

let server: TestServer
let second: RawDevice
beforeAll(async () => {
  server = await startBramley()
  second = await enrolledDevice(server, '00008150-00000000000B')
})
afterAll(() => server.stop())

const BRAMLEY = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

describe('scripts written for NanoMDM', () => {
  /** Runs curl as those scripts do; gives the body, a newline, and the status. */
  async function curl(args: string[], stdin?: Buffer): Promise<{ status: number; body: string }> {
    const ca = join(server.dataFolder, 'tls', 'ca.pem')
    const child = spawn('curl', ['-s', '--max-time', '20', '--cacert', ca, '-u', `nanomdm:${KEY}`, '-w', '\n%{http_code}', ...args])
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stdin.end(stdin)
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
    if (code !== 0) throw new Error(`curl ended with ${code}: ${output}`)
    const cut = output.lastIndexOf('\n')
    return { status: Number(output.slice(cut + 1)), body: output.slice(0, cut) }
  }

  it('run as they are: pushcert, push, enqueue from a pipe and from a file', async () => {
    const device = await enrolledDevice(server, '00008150-000000000011')
    await server.db.query('delete from push_wakes')
    const folder = mkdtempSync(join(inject('runFolder'), 'curl-'))
    const { certificatePem, keyPem } = server.apns.issuePushCertificate(TOPIC)
    writeFileSync(join(folder, 'push.pem'), certificatePem + keyPem)
    expect((await curl(['-T', join(folder, 'push.pem'), `${server.url}/v1/pushcert`])).status).toBe(200)
    expect((await curl([`${server.url}/v1/push/${device.udid}`])).status).toBe(200)

    const uuids = [randomUUID(), randomUUID(), randomUUID()]
    const [piped, posted, gotten] = uuids.map((uuid) => command(uuid))
    const answer = await curl(['-T', '-', `${server.url}/v1/enqueue/${device.udid}`], piped)
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.body)).toMatchObject({ command_uuid: uuids[0], request_type: 'ProfileList' })
    writeFileSync(join(folder, 'command.plist'), posted!)
    expect((await curl(['--data-binary', `@${join(folder, 'command.plist')}`, `${server.url}/v1/enqueue/${device.udid}?nopush=1`])).status).toBe(200)
    writeFileSync(join(folder, 'command.plist'), gotten!)
    expect((await curl(['-X', 'GET', '--data-binary', `@${join(folder, 'command.plist')}`, `${server.url}/v1/enqueue/${device.udid}?nopush=1`])).status).toBe(200)

    const seen: string[] = []
    for (let next = await device.idle(); next; next = await device.acknowledge(next, { ProfileList: [] })) seen.push(uuidOf(next))
    expect(seen).toEqual(uuids)
  })

  it('are fed by bramley plist through a pipe', async () => {
    ensureBuilt()
    const child = spawn('bash', ['-c', `"$NODE" "$BRAMLEY" plist DeviceInformation --Queries OSVersion | curl -sS --max-time 20 --cacert "$CA" -u "nanomdm:$KEY" -T - "$URL"`], {
      env: { PATH: process.env['PATH'], NODE: process.execPath, BRAMLEY, KEY, CA: join(server.dataFolder, 'tls', 'ca.pem'), URL: `${server.url}/v1/enqueue/${second.udid}?nopush=1` },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    await new Promise((resolve) => child.once('close', resolve))
    const result = JSON.parse(output) as Result
    expect(result).toEqual({ no_push: true, command_uuid: expect.any(String), request_type: 'DeviceInformation' })
    expect(await queued(server, second.udid)).toContain(result.command_uuid)
  })
})
