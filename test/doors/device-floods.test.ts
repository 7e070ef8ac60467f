import { Agent } from 'node:https'
import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodePlist } from '../../src/apple/wire/plist-writer.ts'
import { unchanged } from '../support/attacks.ts'
import { send, startBramley, type TestServer } from '../support/bramley.ts'
import { enrolledIn, MODES, put, type Mode } from '../support/modes.ts'
import { REPORT, uuidOf, type RawDevice } from '../support/raw-device.ts'

// Too slow, too much, too many, too clever. The numbers are those of the threat model.
const A = '00008120-00000000000A'
const B = '00008120-00000000000B'
const SLOW = 100
/** Node gives a body a minute; only the long form waits for that (`npm run test:faults`). */
const isLong = process.env['BRAMLEY_MARATHON_SECONDS'] !== undefined

interface World {
  server: TestServer
  a: RawDevice
  b: RawDevice
  slow: { socket: Socket; closed: Promise<string> }[]
}
const worlds = new Map<Mode['mode'], World>()

// All at once, so that the slow ones of every mode have their ten seconds while the other tests run.
beforeAll(async () => {
  for (const mode of MODES) {
    const server = await startBramley({ settings: mode.settings })
    const [a, b] = [await enrolledIn(mode, server, A), await enrolledIn(mode, server, B)]
    for (const device of [a, b]) await device.idle()
    worlds.set(mode.mode, { server, a, b, slow: Array.from({ length: SLOW }, () => slowOnes(server)).flat() })
  }
})
afterAll(async () => {
  for (const { server, slow } of worlds.values()) {
    for (const { socket } of slow) socket.destroy()
    await server.stop()
  }
})

/** One of every kind of client that does not come to the point. */
function slowOnes(server: TestServer): World['slow'] {
  const half = 'PUT /mdm HTTP/1.1\r\nHost: x\r\nX-Slow: '
  const withBody = `PUT /mdm HTTP/1.1\r\nHost: x\r\nContent-Type: ${REPORT}\r\nContent-Length: 1000\r\n\r\n<`
  const plain = (base: string) => connectPlain(Number(new URL(base).port), '127.0.0.1')
  const secure = connectTls({ port: Number(new URL(server.url).port), host: '127.0.0.1', ca: server.ca })
  const sockets: [Socket, string][] = [
    [plain(server.httpUrl), half], [plain(server.httpUrl), ''], [plain(server.url), ''], [secure, half],
    ...(isLong ? [[plain(server.httpUrl), withBody] as [Socket, string]] : []),
  ]
  return sockets.map(([socket, text]) => {
    let heard = ''
    if (text !== '') socket.write(text)
    socket.on('data', (data: Buffer) => (heard += data.toString())).on('error', () => undefined)
    return { socket, closed: new Promise<string>((resolve) => socket.once('close', () => resolve(heard.split('\r\n', 1)[0] ?? ''))) }
  })
}

describe.each(MODES)('$mode', (mode) => {
  let server: TestServer
  let a: RawDevice
  let b: RawDevice
  beforeAll(() => {
    ({ server, a, b } = worlds.get(mode.mode)!)
  })
  const idle = (device: RawDevice) => device.report({ Status: 'Idle' })
  const plainPort = () => Number(new URL(server.httpUrl).port)
  const tls = (o: ConnectionOptions = {}) => connectTls({ port: Number(new URL(server.url).port), host: '127.0.0.1', ca: server.ca, ...o })

  describe('60: too much', () => {
    const agent = () => new Agent({ ca: server.ca })
    /** What comes back while it is being sent; the rest of it is not. */
    const pour = (headers: Record<string, string>, bytes: number) => unchanged(server, () => new Promise<string>((resolve) => {
      const socket = connectPlain(plainPort(), '127.0.0.1')
      const chunk = Buffer.alloc(1 << 20, 'A')
      let sent = 0
      let heard = ''
      const more = (): void => {
        if (sent >= bytes || socket.destroyed || heard !== '') return
        sent += chunk.length
        if (socket.write(Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]))) setImmediate(more)
        else socket.once('drain', more)
      }
      socket.write(['PUT /mdm HTTP/1.1', 'Host: x', `Content-Type: ${REPORT}`, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`), '', ''].join('\r\n'))
      socket.on('data', (data) => (heard += data.toString())).on('error', () => undefined)
      socket.once('close', () => resolve(`${heard.split('\r\n', 1)[0]} ${sent < bytes}`))
      more()
    }))

    it('64 MB in chunks without a length: 413 before they are all there', async () => {
      const logged = server.logs.length
      // The connection is closed on what is still coming, which may overtake the answer.
      expect(await pour({ 'Transfer-Encoding': 'chunked' }, 64 << 20)).toMatch(/^(HTTP\/1.1 413 Payload Too Large)? true$/)
      expect(server.logs.slice(logged)).toContainEqual(expect.objectContaining({ status: 413, reason: 'body' }))
    })

    it('a length of 64 MB: 413 before anything is sent', async () => {
      expect(await pour({ 'Content-Length': String(64 << 20) }, 0)).toMatch(/^HTTP\/1.1 413 /)
    })

    it('one byte above 8 MiB: 413; 8 MiB: read, and refused for what it is', async () => {
      const put8 = async (length: number) => unchanged(server, () => a.put(Buffer.alloc(length, ' ')))
      expect([(await put8((8 << 20) + 1)).status, (await put8(8 << 20)).status]).toEqual([413, 400])
    })

    it.each(['gzip', 'deflate', 'br', 'identity', 'x'])('Content-Encoding: %s is refused unread', async (encoding) => {
      const answer = await unchanged(server, () => send(server.url, agent(), 'PUT', '/mdm', { headers: { 'content-type': REPORT, 'content-encoding': encoding }, body: 'x' }))
      expect([answer.status, answer.body.length]).toEqual([415, 0])
    })
  })

  describe('61: HTTP that means two things', () => {
    const poll = () => encodePlist({ Status: 'Idle', UDID: A })
    const smuggled = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
    const start = ['PUT /mdm HTTP/1.1', 'Host: x', `Content-Type: ${REPORT}`]
    it.each<[string, string[], string, RegExp]>([
      ['Content-Length and Transfer-Encoding', [...start, 'Content-Length: 6', 'Transfer-Encoding: chunked', '', ''], `0\r\n\r\n${smuggled}`, /^HTTP\/1.1 400 /],
      ['two Content-Lengths', [...start, 'Content-Length: 0', `Content-Length: ${smuggled.length}`, '', ''], smuggled, /^HTTP\/1.1 400 /],
      ['Transfer-Encoding that ends with something else', [...start, 'Transfer-Encoding: chunked, identity', '', ''], `0\r\n\r\n${smuggled}`, /^HTTP\/1.1 400 /],
      ['a chunk size that is none', [...start, 'Transfer-Encoding: chunked', '', ''], `0x5\r\nAAAAA\r\n0\r\n\r\n${smuggled}`, /^HTTP\/1.1 400 /],
      ['a space before the colon', [...start, 'Content-Length : 6', '', ''], `AAAAAA${smuggled}`, /^HTTP\/1.1 400 /],
      ['a header of 100 kB', [...start, `X-Long: ${'A'.repeat(100_000)}`, '', ''], '', /^HTTP\/1.1 431 /],
      ['no host name', ['PUT /mdm HTTP/1.1', 'Content-Length: 0', '', ''], '', /^HTTP\/1.1 400 /],
      ['HTTP/2 without having agreed on it', ['PRI * HTTP/2.0', '', 'SM', '', ''], '', /^HTTP\/1.1 (400|505) /],
    ])('%s', async (_title, head, body, expected) => {
      const heard = await unchanged(server, () => say(connectPlain(plainPort(), '127.0.0.1'), head.join('\r\n') + body))
      expect(heard).toMatch(expected)
      expect(heard).not.toContain(' 200 ')
    })

    it('bare line feeds', async () => {
      const heard = await unchanged(server, () => say(connectPlain(plainPort(), '127.0.0.1'), `PUT /mdm HTTP/1.1\nHost: x\nContent-Length: 0\n\n${smuggled}`))
      expect(heard).toMatch(/^HTTP\/1.1 400 /)
      expect(heard).not.toContain(' 200 ')
    })

    it('HTTP/2 is not spoken, so that nothing can be reset in it', async () => {
      const socket = tls({ ALPNProtocols: ['h2', 'http/1.1'] })
      await new Promise((resolve) => socket.once('secureConnect', resolve))
      expect(socket.alpnProtocol).not.toBe('h2')
      socket.destroy()
      expect((await put(server, poll(), REPORT, mode.prove(a.identity, poll()))).status).toBe(200)
    })
  })

  it('62: speaks nothing older than TLS 1.2, and does not renegotiate', async () => {
    const old = await unchanged(server, () => new Promise<string>((resolve) => {
      tls({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }).once('secureConnect', () => resolve('connected')).once('error', (error) => resolve(error.message))
    }))
    expect(old).toMatch(/protocol version/)
    const socket = tls({ maxVersion: 'TLSv1.2' })
    await new Promise((resolve) => socket.once('secureConnect', resolve))
    socket.on('error', () => undefined)
    const ended = new Promise<string>((resolve) => socket.once('close', () => resolve('ended')))
    const again = new Promise<string>((resolve) => socket.renegotiate({}, (error) => resolve(error === null ? 'renegotiated' : 'ended')))
    expect(await Promise.race([ended, again])).toBe('ended')
    socket.destroy()
  })

  describe('63: a hundred polls of one device at once', () => {
    it('are served one after the other or told to come again; the queue keeps its order, and another device is served', async () => {
      const types = ['ProfileList', 'SecurityInfo', 'CertificateList']
      const queued: string[] = []
      for (const type of types) queued.push((await server.api('POST', `/devices/${A}/commands`, { type })).json<{ command_uuid: string }>().command_uuid)
      await server.api('POST', `/devices/${B}/commands`, { type: 'ProfileList' })
      const held = await holdRow()
      const flood = Array.from({ length: 100 }, () => idle(a))
      // Who is answered while the row is held is told to come again.
      expect((await Promise.race(flood)).status).toBe(503)
      const others = await Promise.all(Array.from({ length: 5 }, () => idle(b)))
      await held()
      const answers = await Promise.all(flood)
      expect(others.map(({ status, body }) => [status, body.length > 0])).toEqual(Array.from({ length: 5 }, () => [200, true]))
      const statuses = answers.map(({ status }) => status)
      expect(new Set(statuses)).toEqual(new Set([200, 503]))
      expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(65)
      for (const answer of answers) {
        if (answer.status === 503) expect([answer.headers['retry-after'], answer.body.length]).toEqual(['10', 0])
        else expect(answer.body.toString()).toContain(queued[0])
      }
      expect(await drain(a)).toEqual(queued)
      expect(await drain(b)).toHaveLength(1)
    })

    it('of which one waits for the database, hold no connection of others', async () => {
      const { command_uuid } = (await server.api('POST', `/devices/${A}/commands`, { type: 'ProfileList' })).json<{ command_uuid: string }>()
      const held = await holdRow()
      const flood = Array.from({ length: 40 }, () => idle(a))
      for (let n = 0; n < 20; n++) expect((await idle(b)).status).toBe(200)
      await held()
      for (const answer of await Promise.all(flood)) {
        expect([200, 503]).toContain(answer.status)
        if (answer.status === 200) expect(answer.body.toString()).toContain(command_uuid)
      }
      expect(await drain(a)).toEqual([command_uuid])
    })

    async function drain(device: RawDevice): Promise<string[]> {
      const seen: string[] = []
      for (let command = await device.idle(); command; command = await device.acknowledge(command)) seen.push(uuidOf(command))
      return seen
    }

    /** Holds the enrollment row of A as a slow transaction would; call what it returns to let go. */
    async function holdRow(): Promise<() => Promise<void>> {
      const { default: pg } = await import('pg')
      const client = new pg.Client({ connectionString: server.db.url })
      await client.connect()
      await client.query('begin')
      await client.query(`select 1 from enrollments where device_key = $1 for update`, [A])
      return () => client.end()
    }
  })
})

describe.each(MODES)('$mode', ({ mode }) => {
  describe('64: filling the disk with answers', () => {
    const world = () => worlds.get(mode)!
    const queue = async (udid: string) => (await world().server.api('POST', `/devices/${udid}/commands`, { type: 'ProfileList' })).json<{ id: string; command_uuid: string }>()
    const answer = (device: RawDevice, uuid: string, bytes: number) => device.report({ Status: 'Acknowledged', CommandUUID: uuid, Blob: Buffer.alloc(bytes, 7) })
    const kept = async (id: string) => (await world().server.db.query<{ state: string; reason: string | null; raw: number; fields: boolean }>(
      'select state, reason, coalesce(octet_length(sealed_raw), 0) as raw, fields is not null as fields from command_results where id = $1', [id]))[0]

    it('an answer that nobody asked for is not kept, nor the same one again, however large', async () => {
      const { server, a } = world()
      const { id, command_uuid } = await queue(A)
      await a.idle()
      expect((await answer(a, command_uuid, 1 << 20)).status).toBe(200)
      expect((await kept(id))?.raw).toBeGreaterThan(1 << 20)
      for (const uuid of [command_uuid, 'nobody-asked']) {
        expect((await unchanged(server, () => answer(a, uuid, 5 << 20))).status).toBe(200)
      }
    })

    it('after 64 MiB within a day large answers end their commands and are not kept; other devices’ are, and the next day’s', async () => {
      const { server, a, b } = world()
      const full = await queue(A)
      await a.idle()
      await answer(a, full.command_uuid, 100_000)
      // As after many answers of some megabytes each.
      await server.db.query(`update command_results set sealed_raw = convert_to(repeat('x', 64 << 20), 'UTF8') where id = $1`, [full.id])
      const [large, small, ofB] = [await queue(A), await server.api('POST', `/devices/${A}/commands`, { type: 'SecurityInfo' }), await queue(B)]
      await a.idle()
      const logged = server.logs.length
      const next = await answer(a, large.command_uuid, 100_000)
      expect([next.status, next.body.toString()]).toEqual([200, expect.stringContaining('SecurityInfo')])
      expect(await kept(large.id)).toEqual({ state: 'acknowledged', reason: expect.stringContaining('64 MiB'), raw: 0, fields: false })
      expect((await server.api('GET', `/commands/${large.id}`)).json()).toMatchObject({ state: 'acknowledged', state_detail: expect.stringContaining('not kept'), result: null })
      expect(server.logs.slice(logged)).toContainEqual(expect.objectContaining({ msg: 'answer_not_kept', reason: 'quota', command: large.id }))
      const { id, command_uuid } = small.json<{ id: string; command_uuid: string }>()
      await answer(a, command_uuid, 1_000)
      expect(await kept(id)).toMatchObject({ reason: null, fields: true })
      await b.idle()
      await answer(b, ofB.command_uuid, 100_000)
      expect(await kept(ofB.id)).toMatchObject({ reason: null, fields: true })
      await server.db.query(`update command_results set ended_at = ended_at - interval '1 day' where id = $1`, [full.id])
      const later = await queue(A)
      await a.idle()
      await answer(a, later.command_uuid, 100_000)
      expect(await kept(later.id)).toMatchObject({ reason: null, fields: true })
    })
  })

  // Left to themselves, Node would look every 30 seconds, and wait two minutes for a handshake.
  it('59: hundreds of clients that do not come to the point take nothing from others, and are sent away', { timeout: isLong ? 120_000 : 20_000 }, async () => {
    const { server, a, b, slow } = worlds.get(mode)!
    expect((await unchanged(server, () => b.report({ Status: 'Idle' }))).status).toBe(200)
    const ends = await Promise.all(slow.map(({ closed }) => closed))
    // Who said nothing in plain HTTP is told as well; an unfinished handshake can be told nothing.
    expect(new Set(ends)).toEqual(new Set(['HTTP/1.1 408 Request Timeout', '']))
    expect((await unchanged(server, () => a.report({ Status: 'Idle' }))).status).toBe(200)
  })
})

/** Everything that comes back for these bytes until the connection is closed. */
function say(socket: Socket, text: string): Promise<string> {
  return new Promise((resolve) => {
    let heard = ''
    socket.on('data', (data) => (heard += data.toString())).on('error', () => undefined)
    socket.once('close', () => resolve(heard))
    socket.write(text)
  })
}
