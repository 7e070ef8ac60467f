import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { connectApns, pushDisposition, type ApnsOptions, type Push } from '../../../src/apple/cloud/apns.ts'
import { certificateAlert } from '../../../src/apple/cloud/tls-alert.ts'
import { startApnsStandIn } from '../../../src/simulator/apns-stand-in.ts'
import { startRefusingApns, type RefusingApns } from '../../support/refusing-apns.ts'

const TOPIC = 'com.apple.mgmt.External.4d1f7a2e-52c0-4c3c-9e3c-0f5c7f7a6b10'
const PUSH: Push = { token: Buffer.alloc(32, 7), topic: TOPIC, pushMagic: 'magic', expiration: 4_102_444_800 }

const open: { close(): Promise<unknown> }[] = []
let folder: string
let apns: RefusingApns
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bramley-refusing-'))
  apns = await startRefusingApns(folder, TOPIC)
})
afterAll(async () => {
  await apns.close()
  await rm(folder, { recursive: true })
})
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close()
})

function client(options: Pick<ApnsOptions, 'certificatePem' | 'keyPem'> & Partial<ApnsOptions>, { host, port, caPem }: Pick<RefusingApns, 'host' | 'port' | 'caPem'> = apns) {
  // Nothing here may be found out by waiting for it.
  const sender = connectApns({ host, port, ca: caPem, timeoutMs: 600_000, ...options })
  open.push(sender)
  return sender
}

describe('a push certificate that APNs refuses by a TLS alert', () => {
  it.each(['expired', 'revoked'] as const)('because it is %s is the answer 403 for every push that waits', async (kind) => {
    const sender = client(apns[kind])
    const answers = await Promise.all([sender.send(PUSH), sender.send(PUSH)])
    expect(answers).toEqual(Array(2).fill({ outcome: 'refused', status: 403, reason: `TLS alert certificate_${kind}` }))
    expect(answers.map((answer) => pushDisposition(answer, new Date()))).toEqual(['topic_broken', 'topic_broken'])
    expect(await sender.send(PUSH)).toMatchObject({ status: 403 })
  })

  it('because its authority is unknown, too', async () => {
    const stranger = await startApnsStandIn()
    open.push(stranger)
    expect(await client(stranger.issuePushCertificate(TOPIC)).send(PUSH)).toEqual({ outcome: 'refused', status: 403, reason: 'TLS alert unknown_ca' })
  })

  it('is no verdict when it comes before the server has proven itself: not in the middle of TLS 1.2', async () => {
    const older = await startRefusingApns(folder, TOPIC, ['-tls1_2'])
    open.push(older)
    const answer = await client(older.expired, older).send(PUSH)
    expect(answer).toEqual({ outcome: 'unreachable', detail: 'TLS alert certificate_expired' })
    expect(pushDisposition(answer, new Date())).toBe('retry')
  })

  it('is no verdict when it comes from somebody on the way', async () => {
    const liar = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.end(Buffer.from([21, 3, 3, 0, 2, 2, 44]))) // a fatal alert, certificate_revoked
    })
    await new Promise<void>((resolve) => liar.listen(0, '127.0.0.1', resolve))
    open.push({ close: () => new Promise((resolve) => liar.close(resolve)) })
    const answer = await client(apns.good, { ...apns, port: (liar.address() as AddressInfo).port }).send(PUSH)
    expect(answer).toEqual({ outcome: 'unreachable', detail: 'TLS alert certificate_revoked' })
  })
})

describe('an alert', () => {
  const error = (text: string) => certificateAlert(new Error(`80AC88C1657F0000:error:0A000415:SSL routines:ssl3_read_bytes:${text}`))

  it.each([[42, 'bad_certificate'], [43, 'unsupported_certificate'], [44, 'certificate_revoked'], [45, 'certificate_expired'], [46, 'certificate_unknown'], [48, 'unknown_ca']])(
    '%i is about our certificate', (number, name) => {
      expect(error(`an alert:rec_layer_s3.c:1601:SSL alert number ${number}\n`)).toBe(name)
    })

  it.each([10, 20, 40, 47, 70, 80, 112, 120])('%i is not', (number) => {
    expect(error(`an alert:rec_layer_s3.c:1601:SSL alert number ${number}\n`)).toBeUndefined()
  })

  it('is no other error, whatever it says of certificates', () => {
    expect(error('certificate verify failed')).toBeUndefined()
    expect(certificateAlert(new Error('unable to verify the first certificate'))).toBeUndefined()
  })
})
