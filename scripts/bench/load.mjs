// A closed loop of keep-alive connections: each sends its next request when its answer is here.
import { Agent, request } from 'node:http'

/**
 * Runs `next(index)` requests over `connections` until it returns undefined or `seconds` are over.
 * @returns {Promise<{ requests: number, errors: number, seconds: number, p50: number, p99: number }>}
 */
export async function load({ port, connections, seconds = Infinity, next, onAnswer }) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const times = []
  let errors = 0
  let index = 0
  const started = performance.now()
  const end = started + seconds * 1_000
  const worker = async () => {
    for (;;) {
      const wanted = performance.now() < end ? next(index++) : undefined
      if (!wanted) return
      const at = performance.now()
      const answer = await send(agent, port, wanted)
      times.push(performance.now() - at)
      if (answer.status !== 200 && answer.status !== 202) errors += 1
      onAnswer?.(wanted, answer)
    }
  }
  await Promise.all(Array.from({ length: connections }, worker))
  agent.destroy()
  times.sort((a, b) => a - b)
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
  return { requests: times.length, errors, seconds: (performance.now() - started) / 1_000, p50: at(0.5), p99: at(0.99) }
}

export function send(agent, port, { method = 'PUT', path = '/mdm', headers = {}, body }) {
  return new Promise((resolve, reject) => {
    const outgoing = request({ agent, port, host: '127.0.0.1', method, path, headers: { ...headers, ...(body && { 'content-length': body.length }) } }, (incoming) => {
      const chunks = []
      incoming.on('data', (chunk) => chunks.push(chunk))
      incoming.on('end', () => resolve({ status: incoming.statusCode, body: Buffer.concat(chunks) }))
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}
