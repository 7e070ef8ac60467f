import { constants, type ClientHttp2Stream, type IncomingHttpHeaders, type IncomingHttpStatusHeader } from 'node:http2'

const MAX_ANSWER_LENGTH = 4_096

/** What came back on a stream before it closed. No `headers`: no answer, and `failure` says why. */
export interface Reply {
  headers?: IncomingHttpHeaders & IncomingHttpStatusHeader
  body: string
  failure: string
  timedOut: boolean
}

/** Sends a request body and collects the answer; gives the stream up after `timeoutMs`. Never rejects. */
export function converse(stream: ClientHttp2Stream, body: string, timeoutMs: number): Promise<Reply> {
  return new Promise((resolve) => {
    const reply: Reply = { body: '', failure: 'stream closed without an answer', timedOut: false }
    const timeout = setTimeout(() => {
      reply.timedOut = true
      reply.failure = `no answer within ${timeoutMs} ms`
      stream.close(constants.NGHTTP2_CANCEL)
    }, timeoutMs)
    stream.setEncoding('utf8')
    stream.on('response', (headers) => (reply.headers = headers))
    stream.on('data', (text: string) => (reply.body = (reply.body + text).slice(0, MAX_ANSWER_LENGTH)))
    stream.on('error', (error) => (reply.failure = error.message))
    stream.once('close', () => {
      clearTimeout(timeout)
      resolve(reply)
    })
    stream.end(body)
  })
}
