import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { connectApns, type ApnsClient, type ApnsOptions, type Push } from '../../../src/apple/cloud/apns.ts'
import { startApnsStandIn, type ApnsStandIn } from '../../../src/simulator/apns-stand-in.ts'

const TOPIC = 'com.apple.mgmt.External.4d1f7a2e-52c0-4c3c-9e3c-0f5c7f7a6b10'
const EXPIRATION = 4_102_444_800
const ACCEPTED = { outcome: 'accepted', apnsId: expect.stringMatching(/^[0-9A-F-]{36}$/) }
const UNREACHABLE = { outcome: 'unreachable', detail: expect.any(String) }

const open: { close(): Promise<unknown> }[] = []
let folder: string
let certificate: { certificatePem: string; keyPem: string }

// One CA and one push certificate for the file: RSA keys are slow to make.
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bramley-apns-'))
  const standIn = await startApnsStandIn({ folder })
  certificate = standIn.issuePushCertificate(TOPIC)
  await standIn.close()
})

afterAll(() => rm(folder, { recursive: true }))

afterEach(async () => {
  vi.useRealTimers()
  for (const thing of open.splice(0).reverse()) await thing.close()
})

async function apns(): Promise<ApnsStandIn> {
  const standIn = await startApnsStandIn({ folder })
  open.push(standIn)
  return standIn
}

function client(standIn: ApnsStandIn, options: Partial<ApnsOptions> = {}): ApnsClient {
  const { host, port, caPem } = standIn
  const sender = connectApns({ host, port, ca: caPem, ...certificate, ...options })
  open.push(sender)
  return sender
}

function pushTo(standIn: ApnsStandIn, pushMagic = 'magic'): Push {
  return { token: standIn.register(TOPIC), topic: TOPIC, pushMagic, expiration: EXPIRATION }
}

function burst(standIn: ApnsStandIn, count: number): Push[] {
  return Array.from({ length: count }, (_, i) => pushTo(standIn, `magic ${i}`))
}

const magics = (pushes: readonly Push[]) => pushes.map((push) => push.pushMagic)

describe('a push', () => {
  it('is exactly the request Apple describes', async () => {
    const standIn = await apns()
    const push = pushTo(standIn, 'A "quoted" \\ magic \u2028 ü')
    expect(await client(standIn).send(push)).toEqual(ACCEPTED)
    expect(standIn.violations).toEqual([])
    expect(standIn.received).toEqual([push])
  })

  it('to a dead token is refused with 410 and the time since when', async () => {
    const standIn = await apns()
    const push = pushTo(standIn)
    const timestamp = new Date('2026-03-01T12:00:00.123Z')
    standIn.unregister(push.token, timestamp)
    expect(await client(standIn).send(push))
      .toMatchObject({ outcome: 'refused', status: 410, reason: 'Unregistered', timestamp, apnsId: expect.any(String) })
  })

  it('to a token nobody knows is refused with 400', async () => {
    const standIn = await apns()
    const answer = await client(standIn).send({ ...pushTo(standIn), token: Buffer.alloc(32, 7) })
    expect(answer).toMatchObject({ outcome: 'refused', status: 400, reason: 'BadDeviceToken' })
  })

  it('with the certificate of another authority is refused with 403', async () => {
    const standIn = await apns()
    const stranger = await startApnsStandIn()
    open.push(stranger)
    const answer = await client(standIn, stranger.issuePushCertificate(TOPIC)).send(pushTo(standIn))
    expect(answer).toMatchObject({ outcome: 'refused', status: 403, reason: 'BadCertificate' })
  })

  it('answered 429 comes back with the seconds to wait, and is not sent again', async () => {
    const standIn = await apns()
    standIn.answerNext(429, { reason: 'TooManyRequests', retryAfter: 90 })
    expect(await client(standIn).send(pushTo(standIn)))
      .toMatchObject({ outcome: 'refused', status: 429, reason: 'TooManyRequests', retryAfterSeconds: 90 })
    expect(standIn.counters.pushes).toBe(1)
  })

  it('answered 500 without a body comes back with the status alone', async () => {
    const standIn = await apns()
    standIn.answerNext(500)
    expect(await client(standIn).send(pushTo(standIn)))
      .toEqual({ outcome: 'refused', status: 500, apnsId: expect.any(String) })
  })
})

describe('many pushes', () => {
  it('travel over one session, within its stream limit', async () => {
    const standIn = await apns()
    const sender = client(standIn)
    const answers = await Promise.all(burst(standIn, 2_000).map((push) => sender.send(push)))
    expect(answers.every((answer) => answer.outcome === 'accepted')).toBe(true)
    expect(standIn.counters).toMatchObject({ pushes: 2_000, sessions: 1 })
    expect(standIn.counters.maxOpenStreams).toBeLessThanOrEqual(1_000)
  })

  it('wait for their turn, in order, where one stream is allowed', async () => {
    const standIn = await apns()
    standIn.maxStreams = 1
    const sender = client(standIn)
    const pushes = burst(standIn, 30)
    await Promise.all(pushes.map((push) => sender.send(push)))
    expect(standIn.counters).toMatchObject({ pushes: 30, sessions: 1, maxOpenStreams: 1 })
    expect(magics(standIn.received)).toEqual(magics(pushes))
  })

  it('all arrive, each once, when GOAWAY comes in the middle of the burst again and again', async () => {
    const standIn = await apns()
    standIn.goAwayAfter(100)
    const sender = client(standIn)
    const pushes = burst(standIn, 1_000)
    const answers = await Promise.all(pushes.map((push) => sender.send(push)))
    expect(answers.every((answer) => answer.outcome === 'accepted')).toBe(true)
    expect(magics(standIn.received).toSorted()).toEqual(magics(pushes).toSorted())
    expect(standIn.counters.pushes).toBe(1_000)
    expect(standIn.counters.sessions).toBe(10)
  })
})

describe('without an answer', () => {
  it('a push is tried again when its stream is reset', async () => {
    const standIn = await apns()
    standIn.resetNext(2)
    expect(await client(standIn).send(pushTo(standIn))).toEqual(ACCEPTED)
    expect(standIn.counters.pushes).toBe(3)
  })

  it('a push is given up after three tries', async () => {
    const standIn = await apns()
    standIn.resetNext(3)
    expect(await client(standIn).send(pushTo(standIn))).toEqual(UNREACHABLE)
    expect(standIn.counters.pushes).toBe(3)
  })

  it('a push is sent again when the connection is cut under it', async () => {
    const standIn = await apns()
    standIn.stall()
    const answer = client(standIn).send(pushTo(standIn))
    await standIn.arrived(1)
    standIn.dropConnections()
    standIn.resume()
    expect(await answer).toEqual(ACCEPTED)
    expect(standIn.counters).toMatchObject({ pushes: 2, sessions: 2 })
  })

  it('a silent APNs is unreachable, and the next push goes over a fresh connection', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const standIn = await apns()
    const sender = client(standIn, { timeoutMs: 3_000 })
    standIn.swallowNext(3)
    const answer = sender.send(pushTo(standIn))
    for (const tries of [1, 2, 3]) {
      await standIn.arrived(tries)
      vi.advanceTimersByTime(3_000)
    }
    expect(await answer).toEqual({ outcome: 'unreachable', detail: 'no answer within 3000 ms' })
    expect(await sender.send(pushTo(standIn))).toEqual(ACCEPTED)
    expect(standIn.counters).toMatchObject({ pushes: 4, sessions: 4 })
  })

  it('one slow push does not cost the connection while others are answered', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const standIn = await apns()
    const sender = client(standIn)
    standIn.swallowNext()
    const slow = sender.send(pushTo(standIn, 'slow'))
    await standIn.arrived(1)
    await sender.send(pushTo(standIn, 'quick'))
    vi.advanceTimersByTime(10_000)
    expect(await slow).toEqual(ACCEPTED)
    expect(standIn.counters).toMatchObject({ pushes: 3, sessions: 1 })
  })
})

describe('a connection', () => {
  it('that is refused is tried again', async () => {
    const standIn = await apns()
    standIn.refuseConnections(2)
    expect(await client(standIn).send(pushTo(standIn))).toEqual(ACCEPTED)
  })

  it('that stays refused makes every waiting push unreachable, and the next one recovers', async () => {
    const standIn = await apns()
    const sender = client(standIn)
    standIn.refuseConnections()
    const answers = await Promise.all(burst(standIn, 50).map((push) => sender.send(push)))
    expect(answers).toEqual(Array(50).fill(UNREACHABLE))
    standIn.resume()
    expect(await sender.send(pushTo(standIn))).toEqual(ACCEPTED)
  })

  it('that nobody answers is given up after the timeout', async () => {
    const standIn = await apns()
    const blackHole = createServer()
    await listening(blackHole)
    const { port } = blackHole.address() as AddressInfo
    const answer = await client(standIn, { port, timeoutMs: 30 }).send(pushTo(standIn))
    expect(answer).toEqual({ outcome: 'unreachable', detail: 'no answer within 30 ms' })
  })

  it('greeted by GOAWAY each time does not go on for ever', async () => {
    const standIn = await apns()
    standIn.goAwayAfter(0)
    const answer = await client(standIn).send(pushTo(standIn))
    expect(answer).toEqual({ outcome: 'unreachable', detail: 'GOAWAY: Shutdown' })
    expect(standIn.counters).toMatchObject({ pushes: 0, sessions: 3 })
  })

  it('ended by GOAWAY because of the certificate answers what waits with 403', async () => {
    const standIn = await apns()
    standIn.maxStreams = 1
    standIn.goAwayAfter(0, 'BadCertificate')
    const sender = client(standIn)
    const answers = await Promise.all(burst(standIn, 3).map((push) => sender.send(push)))
    expect(answers).toEqual(Array(3).fill({ outcome: 'refused', status: 403, reason: 'BadCertificate' }))
    expect(standIn.counters.sessions).toBe(1)
  })

  it('to a server that no trusted CA vouches for carries no push', async () => {
    const standIn = await apns()
    const { host, port } = standIn
    const sender = connectApns({ host, port, ...certificate })
    open.push(sender)
    expect(await sender.send(pushTo(standIn)))
      .toEqual({ outcome: 'unreachable', detail: expect.stringMatching(/certificate/) })
    expect(standIn.counters.pushes).toBe(0)
  })

  it('that cannot even begin, for want of a readable key, is unreachable too', async () => {
    const standIn = await apns()
    expect(await client(standIn, { keyPem: 'no key' }).send(pushTo(standIn))).toEqual(UNREACHABLE)
  })
})

describe('an idle connection', () => {
  it('gets a PING after a minute and stays open', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const standIn = await apns()
    const sender = client(standIn)
    await sender.send(pushTo(standIn))
    vi.advanceTimersByTime(60_000)
    await sender.send(pushTo(standIn))
    expect(standIn.counters).toMatchObject({ pushes: 2, sessions: 1, pings: 1 })
  })

  it('is replaced when nobody answers the PING', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const standIn = await apns()
    const relay = await startRelay(standIn.port)
    const sender = client(standIn, { port: relay.port })
    await sender.send(pushTo(standIn))
    const lost = relay.freeze()
    vi.advanceTimersByTime(60_000)
    vi.advanceTimersByTime(10_000)
    await lost
    expect(await sender.send(pushTo(standIn))).toEqual(ACCEPTED)
    expect(standIn.counters.sessions).toBe(2)
  })
})

describe('closing', () => {
  it('lets what is in flight finish, and answers what waits at once', async () => {
    const standIn = await apns()
    standIn.maxStreams = 1
    standIn.stall()
    const sender = client(standIn)
    const inFlight = sender.send(pushTo(standIn))
    const waiting = sender.send(pushTo(standIn))
    await standIn.arrived(1)
    const closing = sender.close()
    expect(await waiting).toEqual(UNREACHABLE)
    standIn.resume()
    expect(await inFlight).toEqual(ACCEPTED)
    await closing
    expect(await sender.send(pushTo(standIn))).toEqual({ outcome: 'unreachable', detail: 'the client is closed' })
  })

  it('does not wait for a connection that is being opened', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const standIn = await apns()
    const blackHole = createServer()
    await listening(blackHole)
    const sender = client(standIn, { port: (blackHole.address() as AddressInfo).port })
    const answer = sender.send(pushTo(standIn))
    await new Promise((resolve) => blackHole.once('connection', resolve))
    await sender.close()
    expect(await answer).toEqual(UNREACHABLE)
  })

  it('may be asked for twice, and before anything was sent', async () => {
    const sender = client(await apns())
    expect(await Promise.all([sender.close(), sender.close()])).toEqual([undefined, undefined])
  })
})

async function listening(server: Server): Promise<void> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket.on('error', () => undefined))
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push({
    close: () => new Promise((resolve) => {
      server.close(resolve)
      for (const socket of sockets) socket.destroy()
    }),
  })
}

/** Stands between pusher and stand-in; `freeze` stops all bytes of the present connections, as a dead router does. */
async function startRelay(target: number) {
  const pairs: [Socket, Socket][] = []
  const relay = createServer((near) => {
    const far = connect(target, '127.0.0.1').on('error', () => undefined)
    near.pipe(far)
    far.pipe(near)
    near.once('close', () => far.destroy())
    pairs.push([near, far])
  })
  await listening(relay)
  return {
    port: (relay.address() as AddressInfo).port,
    freeze: () => Promise.all(pairs.map(([near, far]) => {
      near.unpipe(far)
      far.unpipe(near)
      near.resume()
      return new Promise((resolve) => near.once('close', resolve))
    })),
  }
}
