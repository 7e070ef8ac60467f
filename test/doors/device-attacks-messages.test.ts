import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodePlist, type EncodableDict } from '../../src/apple/wire/plist-writer.ts'
import { refused, unchanged } from '../support/attacks.ts'
import { startBramley, TOPIC, type TestServer } from '../support/bramley.ts'
import { enrolledIn, MODES, put } from '../support/modes.ts'
import { CHECKIN, REPORT, type RawDevice } from '../support/raw-device.ts'

// What a device with a good identity may write into a message. The numbers are those of the threat model.
const UDID = '00008120-001A2D3C4E5F601E' // who speaks in the samples
const HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
const APPLE = '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">'
const plist = (inner: string, doctype = '', head = HEAD) => Buffer.from(`${head}${doctype}<plist version="1.0">${inner}</plist>`)
/** An Idle report with more in it. */
const idle = (more: string, doctype = APPLE, head = HEAD) => (
  plist(`<dict><key>Status</key><string>Idle</string><key>UDID</key><string>${UDID}</string>${more}</dict>`, doctype, head))
const bytes = (...parts: (string | number[])[]) => Buffer.concat(parts.map((part) => Buffer.from(part as string)))
const tokenUpdate = (fields: EncodableDict) => encodePlist({ MessageType: 'TokenUpdate', Topic: TOPIC, UDID, Token: Buffer.alloc(32, 1), PushMagic: 'm', ...fields })
const authenticate = (fields: EncodableDict) => encodePlist({ MessageType: 'Authenticate', Topic: TOPIC, UDID, ProductName: 'iPhone15,2', ...fields })

/** A binary property list: objects, the table of their offsets, a trailer. */
function bplist(objects: number[][]): Buffer {
  const offsets: number[] = []
  let at = 8
  for (const object of objects) at += offsets.push(at) && object.length
  const trailer = Buffer.alloc(32)
  trailer.set([1, 1], 6)
  trailer.writeBigUInt64BE(BigInt(objects.length), 8)
  trailer.writeBigUInt64BE(BigInt(at), 24)
  return Buffer.concat([Buffer.from('bplist00'), ...objects.map((object) => Buffer.from(object)), Buffer.from(offsets), trailer])
}
const doubling = Array.from({ length: 60 }, (_, index) => (index === 59 ? [0xa0] : [0xa2, index + 1, index + 1]))
const laughs = Array.from({ length: 11 }, (_, i) => `<!ENTITY a${i + 1} "${`&a${i};`.repeat(10)}">`).join('')

let canary: Server
let visitors = 0
let canaryUrl = ''
beforeAll(async () => {
  canary = createServer((socket) => {
    visitors++
    socket.destroy()
  })
  await new Promise<void>((resolve) => canary.listen(0, '127.0.0.1', resolve))
  canaryUrl = `http://127.0.0.1:${(canary.address() as AddressInfo).port}/x`
})
afterAll(() => new Promise<void>((resolve) => canary.close(() => resolve())))

type Case = [title: string, contentType: string, reason: string, body: () => Buffer]
const cases: Case[] = [
  ['47: a billion laughs', REPORT, 'doctype', () => idle('<key>x</key><string>&a11;</string>', `<!DOCTYPE plist [<!ENTITY a0 "lol">${laughs}]>`)],
  ['47: an external entity that is a file', REPORT, 'doctype', () => idle('<key>x</key><string>&f;</string>', '<!DOCTYPE plist [<!ENTITY f SYSTEM "file:///etc/passwd">]>')],
  ['47: an external entity that is an address', REPORT, 'doctype', () => idle('<key>x</key><string>&f;</string>', `<!DOCTYPE plist [<!ENTITY f SYSTEM "${canaryUrl}">]>`)],
  ['47: a parameter entity', REPORT, 'doctype', () => idle('', `<!DOCTYPE plist [<!ENTITY % p SYSTEM "${canaryUrl}"> %p;]>`)],
  ['47: a DTD of somebody else', REPORT, 'doctype', () => idle('', `<!DOCTYPE plist SYSTEM "${canaryUrl}">`)],
  ['47: Apple’s DOCTYPE with a subset of its own', CHECKIN, 'doctype', () => idle('', APPLE.replace('>', ' [<!ENTITY x "y">]>'))],
  ['47: two DOCTYPEs', REPORT, 'root', () => idle('', APPLE + APPLE)],
  ['47: an entity that nobody defined', REPORT, 'entity', () => idle('<key>x</key><string>&nbsp;</string>')],
  ['48: 100 000 arrays in each other', REPORT, 'depth', () => idle(`<key>x</key>${'<array>'.repeat(100_000)}${'</array>'.repeat(100_000)}`)],
  ['48: 100 000 arrays that never end', CHECKIN, 'depth', () => idle(`<key>x</key>${'<array>'.repeat(100_000)}`)],
  ['49: a binary property list', REPORT, 'bplist', () => bplist([[0xd0]])],
  ['49: a binary property list as check-in', CHECKIN, 'bplist', () => bplist([[0xd0]])],
  ['49: an array that holds itself', REPORT, 'bplist', () => bplist([[0xa1, 0]])],
  ['49: an array that doubles 59 times', CHECKIN, 'bplist', () => bplist(doubling)],
  ['50: a million elements', REPORT, 'limit', () => idle(`<key>x</key><array>${'<true/>'.repeat(1e6)}</array>`)],
  ['50: a million character references where a name belongs', CHECKIN, 'value', () => Buffer.from(authenticate({ DeviceName: '@' }).toString().replace('@', '&#65;'.repeat(1e6)))],
  ['50: a million characters where an identifier belongs', REPORT, 'identifier', () => encodePlist({ Status: 'Idle', UDID: 'A'.repeat(1e6) })],
  ['50: megabytes of base64 where a token belongs', CHECKIN, 'value', () => tokenUpdate({ Token: Buffer.alloc(5e6) })],
  ['50: megabytes of base64 where an UnlockToken belongs', CHECKIN, 'value', () => tokenUpdate({ UnlockToken: Buffer.alloc(5e6) })],
  ['51: __proto__ as a key', REPORT, 'key', () => idle('<key>__proto__</key><dict><key>polluted</key><true/></dict>')],
  ['51: constructor and prototype as keys', CHECKIN, 'key', () => Buffer.from(authenticate({ x: '@' }).toString().replace('<key>x</key>', '<key>__proto__</key>').replace('<string>@</string>', '<dict><key>constructor</key><dict><key>prototype</key><dict><key>polluted</key><true/></dict></dict></dict>'))],
  ['52: Status a number', REPORT, 'status', () => encodePlist({ Status: 1, UDID })],
  ['52: the UDID an array', REPORT, 'type', () => encodePlist({ Status: 'Idle', UDID: [UDID] })],
  ['52: CommandUUID a dict', REPORT, 'command_uuid', () => encodePlist({ Status: 'Acknowledged', UDID, CommandUUID: { a: 'b' } })],
  ['52: Token a string', CHECKIN, 'type', () => tokenUpdate({ Token: 'AAAA' })],
  ['52: PushMagic data', CHECKIN, 'type', () => tokenUpdate({ PushMagic: Buffer.from('m') })],
  ['52: no number', REPORT, 'real', () => idle('<key>x</key><real>1e</real>')],
  ['52: a date that is none', REPORT, 'date', () => idle('<key>x</key><date>2026-13-45T99:99:99Z</date>')],
  ['52: a year of ten figures', REPORT, 'date', () => idle('<key>x</key><date>9999999999-01-01T00:00:00Z</date>')],
  ['52: an integer without end', REPORT, 'integer', () => idle(`<key>x</key><integer>${'9'.repeat(400)}</integer>`)],
  ['52: a key twice', REPORT, 'duplicate_key', () => idle(`<key>UDID</key><string>${UDID}</string>`)],
  ['53: NUL', REPORT, 'character', () => idle('<key>x</key><string>a\u0000b</string>')],
  ['53: NUL as a reference', REPORT, 'entity', () => idle('<key>x</key><string>&#0;</string>')],
  ['53: control characters', CHECKIN, 'character', () => idle('<key>x</key><string>\u001b[31m\u0007</string>')],
  ['53: a lone surrogate as a reference', REPORT, 'entity', () => idle('<key>x</key><string>&#xD800;</string>')],
  ['53: a lone surrogate in bytes', REPORT, 'charset', () => bytes(HEAD, '<plist><string>', [0xed, 0xa0, 0x80], '</string></plist>')],
  ['53: UTF-16', REPORT, 'charset', () => Buffer.from(`\ufeff${idle('').toString()}`, 'utf16le')],
  ['53: CP-1252 that says so', CHECKIN, 'charset', () => Buffer.from(idle('', APPLE, HEAD.replace('UTF-8', 'windows-1252')).toString(), 'latin1')],
  ['53: Latin-1 that claims to be UTF-8', CHECKIN, 'charset', () => Buffer.from(idle('<key>x</key><string>\u00e9</string>').toString(), 'latin1')],
  ...[`'; DROP TABLE enrollments; --`, 'A'.repeat(10_240), '../../../etc/passwd', '%00%00%00%00%00', `${UDID} `, `${UDID}\n`, `<b>${UDID}`, '', '\u202e12345678'].map((udid): Case => (
    [`54: the UDID ${JSON.stringify(udid).slice(0, 40)}`, REPORT, 'identifier', () => encodePlist({ Status: 'Idle', UDID: udid })])),
  ['54: both kinds of identifier', CHECKIN, 'identifier', () => tokenUpdate({ EnrollmentID: 'B1C0A7E4-3D52-49F0-8A6B-77D0E1F2A3B4' })],
  ['57: a declarative status with __proto__', CHECKIN, 'key', () => status('{"__proto__":{"polluted":true}}')],
  ['57: a declarative status 10 000 deep', CHECKIN, 'depth', () => status(`${'['.repeat(10_000)}${']'.repeat(10_000)}`)],
  ['57: a declarative status with a key twice', CHECKIN, 'duplicate_key', () => status('{"StatusItems":{},"StatusItems":{}}')],
  ['57: a declarative status with a million items', CHECKIN, 'nodes', () => status(`{"StatusItems":{"a":[${'1,'.repeat(1e6)}1]}}`)],
  ['57: a declarative status with a number that no number holds', CHECKIN, 'number', () => status('{"StatusItems":{"a":1e999}}')],
  ['57: a declarative status that is no JSON', CHECKIN, 'json', () => status('{"StatusItems":')],
]
const status = (json: string) => encodePlist({ MessageType: 'DeclarativeManagement', UDID, Endpoint: 'status', Data: Buffer.from(json) })

const HOSTILE = new URL('../fixtures/apple/samples/hostile/', import.meta.url)
const hostile = readdirSync(HOSTILE).filter((file) => file.endsWith('.plist') && !/^(23|24|36)/.test(file))
const AS_REPORT = new Set(['19', '21', '22', '35'])

describe.each(MODES)('$mode', (mode) => {
  let server: TestServer
  let device: RawDevice
  beforeAll(async () => {
    server = await startBramley({ settings: mode.settings })
    device = await enrolledIn(mode, server, UDID)
    await device.idle() // nobody waits for it any more
  })
  afterAll(() => server.stop())

  it.each(cases)('%s', async (_title, contentType, reason, make) => {
    const before = visitors
    await refused(server, reason, () => device.put(make(), contentType))
    expect(visitors).toBe(before)
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  it.each(hostile)('47-54: the sample %s', async (file) => {
    const answer = await unchanged(server, () => device.put(readFileSync(new URL(file, HOSTILE)), AS_REPORT.has(file.slice(0, 2)) ? REPORT : CHECKIN))
    expect([[400, 404, 501].includes(answer.status), answer.status, answer.body.length]).toEqual([true, answer.status, 0])
  })

  it('54: SQL as a CommandUUID is one that nobody knows', async () => {
    const answer = await unchanged(server, () => device.report({ Status: 'Acknowledged', CommandUUID: `'; DELETE FROM enrollments; --` }))
    expect([answer.status, answer.body.length]).toEqual([200, 0])
  })

  it('51: toString and valueOf as keys are ignored like any other nobody knows', async () => {
    const answer = await unchanged(server, () => device.put(idle('<key>toString</key><string>x</string><key>valueOf</key><true/><key>hasOwnProperty</key><false/>')))
    expect([answer.status, answer.body.length]).toEqual([200, 0])
  })

  it('53: what is text is kept without loss: a byte order mark, other scripts, the last character of all', async () => {
    const name = '\u{10ffff}\u0416\u6f22\ufffd e\u0301'
    expect((await device.put(Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), authenticate({ DeviceName: name })]), CHECKIN)).status).toBe(200)
    expect((await device.tokenUpdate()).status).toBe(200)
    expect(await server.db.query('select name from devices where device_key = $1', [UDID])).toEqual([{ name }])
  })

  it('54: SQL and paths in what is free text stay text', async () => {
    const text = `'; DROP TABLE enrollments; -- ../../x %00 $(id) {{7*7}}`
    expect((await device.authenticate({ DeviceName: text, SerialNumber: text, OSVersion: text })).status).toBe(200)
    expect((await device.tokenUpdate()).status).toBe(200)
    expect((await device.tokenUpdate({ UserID: text, UserShortName: text, UserLongName: text })).status).toBe(200)
    expect(await server.db.query(`select d.name, d.serial_number, e.user_key from devices d join enrollments e on e.device_id = d.id
      where d.device_key = $1 and e.channel = 'user'`, [UDID])).toEqual([{ name: text, serial_number: text, user_key: text }])
    expect((await server.api('GET', `/devices/${UDID}`)).json()).toMatchObject({ name: text })
  })

  it.each([
    'application/json', 'text/xml', 'application/xml', 'application/x-apple-aspen-mdmx', 'application/x-apple-aspen-mdm\u00a0', 'application/x-apple-aspen-mdm,text/xml',
    'application/x-apple-aspen-mdm-checkin\u00a0; charset=UTF-8', 'x/y; application/x-apple-aspen-mdm', '; charset=UTF-8', 'multipart/form-data; boundary=x', 'application/x-www-form-urlencoded',
  ])('56: the content type %j', async (contentType) => {
    const answer = await unchanged(server, () => device.put(encodePlist({ Status: 'Idle', UDID }), contentType))
    expect([answer.status, answer.body.length]).toEqual([415, 0])
  })

  it('56: the content type of the other kind of message, and no content type at all', async () => {
    await refused(server, 'type', () => device.put(encodePlist({ Status: 'Idle', UDID }), CHECKIN))
    const checkOut = encodePlist({ MessageType: 'CheckOut', Topic: TOPIC, UDID })
    await refused(server, 'status', () => device.put(checkOut, REPORT))
    const { 'content-type': _none, ...headers } = { ...mode.prove(device.identity, checkOut).headers }
    const answer = await unchanged(server, () => put(server, checkOut, '', { ...mode.prove(device.identity, checkOut), headers }))
    expect([400, 415]).toContain(answer.status)
  })

  it('58: line feeds, colours and quotes in names and headers stay inside one line of JSON each', async () => {
    const name = 'x\n{"level":"error","msg":"forged"}\r\n\u0085\u2028"}'
    const logged = server.logs.length
    const bare = { DeviceName: name.replaceAll('\r', ''), SerialNumber: '"}\n{"msg":"forged"' }
    const answer = await device.put(authenticate(bare), CHECKIN, {
      'user-agent': '\u001b[31mred"}{"msg":"forged"', 'x-request-id': '"}{"msg":"forged"', 'x-forwarded-for': '"}{"msg":"forged"',
    }).catch((error: Error) => error.message)
    // Node refuses to send a control character in a header; without it the rest is sent.
    if (typeof answer === 'string') await device.put(authenticate(bare), CHECKIN, { 'user-agent': '"}{"msg":"forged"', 'x-request-id': '"}{"msg":"forged"' })
    await device.tokenUpdate()
    await device.put(encodePlist({ Status: 'x\n{"msg":"forged"}', UDID }))
    // Each line was parsed as it was written (test/support/bramley.ts): a forged one would be a line, or an error there.
    const lines = server.logs.slice(logged)
    expect(lines.length).toBeGreaterThanOrEqual(3)
    expect(lines.filter(({ msg }) => msg === 'forged')).toEqual([])
    expect(JSON.stringify(lines)).not.toContain('forged')
  })
})
