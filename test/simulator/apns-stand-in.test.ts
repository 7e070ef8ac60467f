import { X509Certificate } from 'node:crypto'
import { connect, type ClientHttp2Session, type OutgoingHttpHeaders } from 'node:http2'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { connectApns, type Push } from '../../src/apple/cloud/apns.ts'
import { connectApnsListener, type ApnsListener } from '../../src/simulator/apns-listener.ts'
import { startApnsStandIn, type ApnsStandIn, type ApnsStandInOptions } from '../../src/simulator/apns-stand-in.ts'

const TOPIC = 'com.apple.mgmt.External.4d1f7a2e-52c0-4c3c-9e3c-0f5c7f7a6b10'
const OTHER_TOPIC = 'com.apple.mgmt.External.00000000-0000-4000-8000-000000000000'
const NOW = new Date('2026-05-01T12:00:00Z')
const FUTURE = 4_102_444_800

const open: { close(): Promise<unknown> }[] = []
let folder: string
let certificate: { certificatePem: string; keyPem: string }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bramley-stand-in-'))
  const standIn = await startApnsStandIn({ folder })
  certificate = standIn.issuePushCertificate(TOPIC)
  await standIn.close()
})

afterAll(() => rm(folder, { recursive: true }))

afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close()
})

async function apns(options: ApnsStandInOptions = {}): Promise<ApnsStandIn> {
  const standIn = await startApnsStandIn({ folder, ...options })
  open.push(standIn)
  return standIn
}

async function listener({ host, port, caPem }: ApnsStandIn): Promise<ApnsListener> {
  const devices = await connectApnsListener({ host, port, ca: caPem })
  open.push(devices)
  return devices
}

function pusher({ host, port, caPem }: ApnsStandIn, identity = certificate) {
  const client = connectApns({ host, port, ca: caPem, ...identity })
  open.push(client)
  return (token: Buffer, pushMagic: string, rest: Partial<Push> = {}) =>
    client.send({ token, topic: TOPIC, pushMagic, expiration: FUTURE, ...rest })
}

/** Collects pushes, and lets a test wait until a number of them has come. */
function inbox() {
  const magics: string[] = []
  const waiting: { count: number; resolve: (magics: string[]) => void }[] = []
  return {
    magics,
    onPush: (pushMagic: string) => {
      magics.push(pushMagic)
      for (const { count, resolve } of waiting) if (magics.length === count) resolve([...magics])
    },
    holds: (count: number) => new Promise<string[]>((resolve) => {
      if (magics.length >= count) resolve([...magics])
      else waiting.push({ count, resolve })
    }),
  }
}

describe('a push that is not what Apple describes', () => {
  const token = 'ab'.repeat(32)
  const good = {
    ':method': 'POST', ':path': `/3/device/${token}`, 'apns-topic': TOPIC, 'apns-push-type': 'mdm',
    'apns-priority': '10', 'apns-expiration': String(FUTURE), 'content-type': 'application/json',
  }
  const body = '{"mdm":"magic"}'
  const without = (name: keyof typeof good) => ({ ...good, [name]: undefined })

  it.each<[string, number, OutgoingHttpHeaders, string]>([
    ['BadPath', 404, { ...good, ':path': '/3/devices/1' }, body],
    ['MethodNotAllowed', 405, { ...good, ':method': 'PUT' }, body],
    ['MissingDeviceToken', 400, { ...good, ':path': '/3/device/' }, body],
    ['BadDeviceToken', 400, { ...good, ':path': `/3/device/${token.toUpperCase()}` }, body],
    ['BadDeviceToken', 400, { ...good, ':path': '/3/device/abc' }, body],
    ['MissingTopic', 400, without('apns-topic'), body],
    ['BadTopic', 400, { ...good, 'apns-topic': OTHER_TOPIC }, body],
    ['InvalidPushType', 400, without('apns-push-type'), body],
    ['InvalidPushType', 400, { ...good, 'apns-push-type': 'alert' }, body],
    ['BadPriority', 400, { ...good, 'apns-priority': '5' }, body],
    ['BadPriority', 400, without('apns-priority'), body],
    ['BadExpirationDate', 400, { ...good, 'apns-expiration': 'tomorrow' }, body],
    ['BadExpirationDate', 400, without('apns-expiration'), body],
    ['BadContentType', 400, without('content-type'), body],
    ['UnexpectedHeader', 400, { ...good, 'apns-collapse-id': '1' }, body],
    ['PayloadEmpty', 400, good, ''],
    ['PayloadEmpty', 400, good, '{"mdm":"magic","aps":{}}'],
    ['PayloadEmpty', 400, good, '{"aps":{}}'],
    ['PayloadEmpty', 400, good, '{"mdm": "magic"}'],
    ['PayloadEmpty', 400, good, '{"mdm":""}'],
    ['PayloadEmpty', 400, good, '{"mdm":7}'],
    ['PayloadEmpty', 400, good, '{"mdm":'],
    ['PayloadTooLarge', 413, good, `{"mdm":"${'m'.repeat(4_096)}"}`],
  ])('is refused as %s and noted', async (reason, status, headers, payload) => {
    const standIn = await apns()
    expect(await post(raw(standIn), headers, payload)).toEqual({ status, reason })
    expect(standIn.violations).toEqual([{ reason, detail: expect.any(String) }])
    expect(standIn.received).toEqual([])
  })

  it('does not include one that is right but goes to a token nobody has', async () => {
    const standIn = await apns()
    expect(await post(raw(standIn), good, body)).toEqual({ status: 400, reason: 'BadDeviceToken' })
    expect(standIn.violations).toEqual([])
  })
})

describe('who may push', () => {
  const request = { ':method': 'POST', ':path': `/3/device/${'ab'.repeat(32)}` }

  it('is nobody without a client certificate', async () => {
    const standIn = await apns()
    const answer = await post(raw(standIn, {}), request, '{}')
    expect(answer).toEqual({ status: 403, reason: 'MissingProviderToken' })
  })

  it('is whoever holds a certificate of its CA, for the topic in it', async () => {
    const standIn = await apns()
    const token = standIn.register(OTHER_TOPIC)
    const send = pusher(standIn, standIn.issuePushCertificate(OTHER_TOPIC))
    expect(await send(token, 'magic', { topic: OTHER_TOPIC })).toMatchObject({ outcome: 'accepted' })
    expect(await pusher(standIn)(token, 'magic')).toMatchObject({ status: 400, reason: 'DeviceTokenNotForTopic' })
  })

  it('is told by the certificate each push came with', async () => {
    const standIn = await apns()
    const renewed = standIn.issuePushCertificate(TOPIC)
    await pusher(standIn)(standIn.register(TOPIC), 'old')
    await pusher(standIn, renewed)(standIn.register(TOPIC), 'new')
    const sha256 = ({ certificatePem }: { certificatePem: string }) => new X509Certificate(certificatePem).fingerprint256.replaceAll(':', '').toLowerCase()
    expect(standIn.provedBy).toEqual([certificate, renewed].map(sha256))
  })

  it('is anybody with an MDM topic where any client is accepted', async () => {
    const standIn = await apns({ acceptAnyClient: true })
    const stranger = await apns({ folder: await mkdtemp(join(folder, 'other-')) })
    const theirs = stranger.issuePushCertificate(TOPIC)
    expect(await pusher(standIn, theirs)(standIn.register(TOPIC), 'magic')).toMatchObject({ outcome: 'accepted' })
    const server = stranger.issuePushCertificate('com.example.app')
    expect(await pusher(standIn, server)(standIn.register(TOPIC), 'magic'))
      .toMatchObject({ status: 403, reason: 'BadCertificate' })
  })
})

describe('a simulated device', () => {
  it('gets a token of 32 bytes for its topic, another each time', async () => {
    const devices = await listener(await apns())
    const tokens = [await devices.register(TOPIC), await devices.register(TOPIC)]
    expect(tokens.map((token) => token.length)).toEqual([32, 32])
    expect(tokens[0]).not.toEqual(tokens[1])
  })

  it('gets no token for a topic that is not one of MDM', async () => {
    const devices = await listener(await apns())
    await expect(devices.register('com.example.app')).rejects.toThrow('status 400')
  })

  it('is woken over its own connection by a push that came over another', async () => {
    const standIn = await apns()
    const [devices, others] = [await listener(standIn), await listener(standIn)]
    const [mine, theirs] = [inbox(), inbox()]
    const [token, other] = [await devices.register(TOPIC), await others.register(TOPIC)]
    await Promise.all([devices.listen(token, mine.onPush), others.listen(other, theirs.onPush)])
    const send = pusher(standIn)
    await send(token, 'for me "ü"')
    await send(other, 'for them')
    expect(await mine.holds(1)).toEqual(['for me "ü"'])
    expect(await theirs.holds(1)).toEqual(['for them'])
  })

  it('gets every push while it listens', async () => {
    const standIn = await apns()
    const devices = await listener(standIn)
    const box = inbox()
    const token = await devices.register(TOPIC)
    await devices.listen(token, box.onPush)
    const send = pusher(standIn)
    for (const magic of ['one', 'two', 'three']) await send(token, magic)
    expect(await box.holds(3)).toEqual(['one', 'two', 'three'])
  })

  it('that was offline gets only the newest push, and gets it once', async () => {
    const standIn = await apns()
    const devices = await listener(standIn)
    const token = await devices.register(TOPIC)
    const send = pusher(standIn)
    await send(token, 'older')
    await send(token, 'newest')
    const [first, second] = [inbox(), inbox()]
    await devices.listen(token, first.onPush)
    expect(await first.holds(1)).toEqual(['newest'])
    await devices.unlisten(token)
    await devices.listen(token, second.onPush)
    await send(token, 'after')
    expect(await second.holds(1)).toEqual(['after'])
  })

  it('that listens over a new connection is not disturbed when the old one goes', async () => {
    const standIn = await apns()
    const [old, fresh] = [await listener(standIn), await listener(standIn)]
    const [first, second] = [inbox(), inbox()]
    const token = await old.register(TOPIC)
    await old.listen(token, first.onPush)
    await fresh.listen(token, second.onPush)
    await old.unlisten(token)
    await pusher(standIn)(token, 'magic')
    expect(await second.holds(1)).toEqual(['magic'])
    expect(first.magics).toEqual([])
  })

  it('that went offline before it was online loses nothing', async () => {
    const standIn = await apns()
    const devices = await listener(standIn)
    const token = await devices.register(TOPIC)
    const [first, second] = [inbox(), inbox()]
    const listening = devices.listen(token, first.onPush)
    const left = devices.unlisten(token)
    await expect(listening).rejects.toThrow('went offline')
    await left
    await pusher(standIn)(token, 'kept')
    await devices.unlisten(token) // its answer comes after whatever was on the way
    await devices.listen(token, second.onPush)
    expect(await second.holds(1)).toEqual(['kept'])
    expect(first.magics).toEqual([])
  })

  it('does not get a push that expired while it was offline', async () => {
    let now = NOW
    const standIn = await apns({ now: () => now })
    const devices = await listener(standIn)
    const token = await devices.register(TOPIC)
    const send = pusher(standIn, standIn.issuePushCertificate(TOPIC))
    await send(token, 'stale', { expiration: NOW.getTime() / 1_000 + 60 })
    now = new Date(NOW.getTime() + 60_000)
    const box = inbox()
    await devices.listen(token, box.onPush)
    await send(token, 'fresh')
    expect(await box.holds(1)).toEqual(['fresh'])
  })

  it('that gave its token up is gone: pushes get 410 with the time, and it cannot listen again', async () => {
    const standIn = await apns({ now: () => NOW })
    const devices = await listener(standIn)
    const token = await devices.register(TOPIC)
    await devices.unregister(token)
    const send = pusher(standIn, standIn.issuePushCertificate(TOPIC))
    expect(await send(token, 'magic')).toMatchObject({ status: 410, reason: 'Unregistered', timestamp: NOW })
    await expect(devices.listen(token, () => undefined)).rejects.toThrow('does not know this token')
  })

  it('cannot listen with a token that nobody gave out', async () => {
    const devices = await listener(await apns())
    await expect(devices.listen(Buffer.alloc(32, 1), () => undefined)).rejects.toThrow('does not know this token')
    await expect(devices.unregister(Buffer.alloc(32, 1))).rejects.toThrow('status 400')
  })

  it('keeps listening when its connection is cut', async () => {
    const standIn = await apns()
    const devices = await listener(standIn)
    const box = inbox()
    const token = await devices.register(TOPIC)
    await devices.listen(token, box.onPush)
    standIn.dropConnections()
    await pusher(standIn)(token, 'after the cut')
    expect(await box.holds(1)).toEqual(['after the cut'])
  })

  it('listens beside thousands over one connection, also where one stream is allowed', async () => {
    const standIn = await apns()
    standIn.maxStreams = 1
    const devices = await listener(standIn)
    const box = inbox()
    const tokens = Array.from({ length: 2_500 }, () => standIn.register(TOPIC))
    await Promise.all(tokens.map((token, i) => devices.listen(token, (magic) => box.onPush(`${magic} ${i}`))))
    const send = pusher(standIn)
    await Promise.all([0, 1_200, 2_499].map((i) => send(tokens[i] ?? Buffer.alloc(0), 'magic')))
    expect((await box.holds(3)).toSorted()).toEqual(['magic 0', 'magic 1200', 'magic 2499'])
    expect(await devices.register(TOPIC)).toHaveLength(32)
  })
})

describe('a stand-in', () => {
  it('knows its certificates and tokens again after a restart', async () => {
    const before = await startApnsStandIn({ folder })
    const token = before.register(TOPIC)
    await before.close()
    const after = await apns()
    expect(await pusher(after)(token, 'magic')).toMatchObject({ outcome: 'accepted' })
  })

  it('keeps its CA where only its owner can read it, and one only when many start at once', async () => {
    const fresh = join(await mkdtemp(join(folder, 'fresh-')), 'apns')
    const standIns = await Promise.all([1, 2, 3].map(() => apns({ folder: fresh })))
    expect(new Set(standIns.map((standIn) => standIn.caPem)).size).toBe(1)
    const [file = '', ...more] = await readdir(fresh)
    expect(more).toEqual([])
    expect((await stat(join(fresh, file))).mode & 0o777).toBe(0o600)
    expect((await stat(fresh)).mode & 0o777).toBe(0o700)
  })

  it('tells listeners of accepted pushes until they have heard enough', async () => {
    const standIn = await apns()
    const heard: string[] = []
    const stop = standIn.onPush((push) => heard.push(push.pushMagic))
    const send = pusher(standIn)
    await send(standIn.register(TOPIC), 'one')
    stop()
    await send(standIn.register(TOPIC), 'two')
    expect(heard).toEqual(['one'])
  })

  it('rejects when its port is taken', async () => {
    const { port } = await apns()
    await expect(startApnsStandIn({ folder, port })).rejects.toThrow('EADDRINUSE')
  })

  it('ends a listening stream that speaks nonsense, and answers unknown paths with 404', async () => {
    const session = raw(await apns(), {})
    expect(await post(session, { ':method': 'POST', ':path': '/simulated/listen' }, 'no json\n'))
      .toEqual({ status: 200 })
    expect(await post(session, { ':method': 'POST', ':path': '/simulated/else' }, '')).toEqual({ status: 404 })
    expect(await post(session, { ':method': 'GET', ':path': '/simulated/register' }, '')).toEqual({ status: 405 })
  })
})

function raw({ port, caPem }: ApnsStandIn, identity: Partial<typeof certificate> = certificate): ClientHttp2Session {
  const { certificatePem: cert, keyPem: key } = identity
  const session = connect(`https://localhost:${port}`, { ca: caPem, ...(cert && { cert }), ...(key && { key }) })
  open.push({ close: () => new Promise((resolve) => session.close(() => resolve(undefined))) })
  return session
}

function post(session: ClientHttp2Session, headers: OutgoingHttpHeaders, body: string) {
  return new Promise<{ status: number | undefined; reason?: string }>((resolve) => {
    const stream = session.request(headers)
    let status: number | undefined
    let text = ''
    stream.setEncoding('utf8')
    stream.on('response', (answer) => (status = answer[':status']))
    stream.on('data', (chunk: string) => (text += chunk))
    stream.on('error', () => undefined)
    stream.once('close', () => resolve({ status, ...(text !== '' && JSON.parse(text)) }))
    stream.end(body)
  })
}
