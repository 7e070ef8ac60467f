import { randomUUID } from 'node:crypto'
import { constants, type IncomingHttpHeaders, type Http2Session, type ServerHttp2Stream } from 'node:http2'
import type { ApnsAnswer, FaultState, Silence } from './apns-faults.ts'
import type { TrafficRecorder } from './apns-traffic.ts'

const MAX_BODY_LENGTH = 8_192

/** What the push door needs: the switches, a judge of complete requests, and where to note the traffic. */
export interface PushDoorParts {
  faults: FaultState
  judge(headers: IncomingHttpHeaders, body: string, session: Http2Session): ApnsAnswer
  traffic: TrafficRecorder
}

interface SessionState {
  taken: number
  open: number
  lastStreamId: number
}

/** Answers `/3/device/…` as APNs does, faults included. Returns the handler of its streams. */
export function pushDoor(parts: PushDoorParts) {
  const states = new WeakMap<Http2Session, SessionState>()
  return (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void => {
    const session = stream.session
    if (!session) return
    const state = states.get(session) ?? { taken: 0, open: 0, lastStreamId: Infinity }
    states.set(session, state)
    // Promised in a GOAWAY to be left untouched; nghttp2 closes it.
    if ((stream.id ?? 0) > state.lastStreamId) return
    countStream(stream, session, state, parts)
    goAwayWhenDue(stream, session, state, parts.faults)
    readBody(stream, (body) => {
      parts.traffic.requestArrived()
      parts.faults.unlessStalled(() => {
        if (stream.closed || stream.destroyed) return
        const answer = parts.faults.next.shift() ?? parts.judge(headers, body, session)
        respond(stream, answer)
      })
    })
  }
}

function countStream(stream: ServerHttp2Stream, session: Http2Session, state: SessionState, parts: PushDoorParts) {
  state.open += 1
  parts.traffic.counters.maxOpenStreams = Math.max(parts.traffic.counters.maxOpenStreams, state.open)
  stream.once('close', () => {
    state.open -= 1
    if (state.open === 0 && state.lastStreamId !== Infinity) session.close()
  })
}

function goAwayWhenDue(stream: ServerHttp2Stream, session: Http2Session, state: SessionState, faults: FaultState) {
  state.taken += 1
  if (state.taken < faults.goAway.after) return
  state.lastStreamId = stream.id ?? 0
  sayGoAway(session, state.lastStreamId, faults.goAway.reason)
}

/** Ends a session, promising that streams above `lastStreamId` were not looked at. */
export function sayGoAway(session: Http2Session, lastStreamId: number, reason = 'Shutdown'): void {
  session.goaway(constants.NGHTTP2_NO_ERROR, lastStreamId, Buffer.from(JSON.stringify({ reason })))
}

function readBody(stream: ServerHttp2Stream, then: (body: string) => void): void {
  let body = ''
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => (body = (body + text).slice(0, MAX_BODY_LENGTH)))
  stream.once('end', () => then(body))
}

function respond(stream: ServerHttp2Stream, answer: ApnsAnswer | Silence): void {
  if (answer === 'swallow') return
  if (answer === 'reset') return stream.close(constants.NGHTTP2_INTERNAL_ERROR)
  const { status, reason, timestamp, retryAfter } = answer
  const headers = {
    ':status': status,
    'apns-id': randomUUID().toUpperCase(),
    ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
  }
  if (reason === undefined) return stream.respond(headers, { endStream: true })
  stream.respond(headers)
  stream.end(JSON.stringify({ reason, ...(timestamp && { timestamp: timestamp.getTime() }) }))
}
