import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { parseLine, readLines, stringsUnder, stringUnder, writeLine } from './apns-lines.ts'
import type { ApnsMailbox, Deliver } from './apns-mailbox.ts'

const MAX_BODY_LENGTH = 4_096

/** What the device door needs. Tokens are lower-case hex. */
export interface DeviceDoorParts {
  mailbox: ApnsMailbox
  register(topic: string): string
  unregister(token: string): void
  knows: (token: string) => boolean
}

type Route = (stream: ServerHttp2Stream, parts: DeviceDoorParts) => void

const routes: Partial<Record<string, Route>> = {
  '/simulated/register': register,
  '/simulated/unregister': unregister,
  '/simulated/listen': listen,
}

/**
 * Answers the paths by which simulated devices, also those of other processes, get a token, give it up, and receive
 * pushes. They are ours, not Apple's: real devices speak another protocol to another host. No client certificate.
 */
export function deviceDoor(parts: DeviceDoorParts) {
  return (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void => {
    const route = routes[headers[':path'] ?? '']
    if (!route) return answer(stream, 404)
    if (headers[':method'] !== 'POST') return answer(stream, 405)
    route(stream, parts)
  }
}

function register(stream: ServerHttp2Stream, parts: DeviceDoorParts): void {
  readJson(stream, (body) => {
    const topic = stringUnder(body, 'topic')
    if (!topic?.startsWith('com.apple.mgmt.')) return answer(stream, 400)
    answer(stream, 200, { token: parts.register(topic) })
  })
}

function unregister(stream: ServerHttp2Stream, parts: DeviceDoorParts): void {
  readJson(stream, (body) => {
    const token = stringUnder(body, 'token')
    if (token === undefined || !parts.knows(token)) return answer(stream, 400)
    parts.unregister(token)
    answer(stream, 200, {})
  })
}

function listen(stream: ServerHttp2Stream, { mailbox, knows }: DeviceDoorParts): void {
  const online = new Set<string>()
  const deliver: Deliver = (token, mdm) => writeLine(stream, { token, mdm })
  stream.respond({ ':status': 200, 'content-type': 'application/x-ndjson' })
  stream.once('close', () => online.forEach((token) => mailbox.leave(token, deliver)))
  stream.once('end', () => stream.end())
  readLines(stream, (line) => {
    join(stringsUnder(line, 'listen'))
    leave(stringsUnder(line, 'leave'))
  })

  function join(tokens: string[]) {
    const known = tokens.filter((token) => knows(token) && !mailbox.deadSince(token))
    if (known.length < tokens.length) writeLine(stream, { refused: tokens.filter((token) => !known.includes(token)) })
    if (known.length > 0) writeLine(stream, { listening: known })
    for (const token of known) {
      online.add(token)
      mailbox.listen(token, deliver)
    }
  }

  function leave(tokens: string[]) {
    for (const token of tokens) {
      online.delete(token)
      mailbox.leave(token, deliver)
    }
    if (tokens.length > 0) writeLine(stream, { left: tokens })
  }
}

function readJson(stream: ServerHttp2Stream, then: (body: unknown) => void): void {
  let text = ''
  stream.setEncoding('utf8')
  stream.on('data', (chunk: string) => (text = (text + chunk).slice(0, MAX_BODY_LENGTH)))
  stream.once('end', () => then(parseLine(text)))
}

function answer(stream: ServerHttp2Stream, status: number, body?: object): void {
  if (stream.destroyed) return
  stream.respond({ ':status': status, 'content-type': 'application/json' })
  stream.end(body && JSON.stringify(body))
}
