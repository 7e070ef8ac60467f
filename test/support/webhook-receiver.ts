import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface WebhookEvent {
  topic: string
  event_id: string
  created_at: string
  acknowledge_event?: Record<string, unknown>
  checkin_event?: Record<string, unknown>
}

export interface Received {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: Buffer
  event: WebhookEvent
  /** Whose event: the device. */
  device: string
  /** What it was answered with. */
  status: number
}

/** Receives what the webhook sends, and answers as a test says. */
export interface WebhookReceiver {
  url: string
  /** Everything that came, in the order of the answers. */
  received: Received[]
  /** Devices that were told of two events at the same moment. */
  overlaps: string[]
  /** Says how the next ones are answered; 204 until then. */
  answer(how: (one: Omit<Received, 'status'>) => number | Promise<number>): void
  /** What was accepted, of one device. */
  accepted(device: string): Received[]
  close(): Promise<void>
}

export async function startReceiver(): Promise<WebhookReceiver> {
  const received: Received[] = []
  const overlaps: string[] = []
  const open = new Set<string>()
  let how: Parameters<WebhookReceiver['answer']>[0] = () => 204
  const server = createServer((request, response) => {
    const take = async () => {
      const chunks: Buffer[] = []
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
      const body = Buffer.concat(chunks)
      const event = JSON.parse(body.toString()) as WebhookEvent
      const ids = (event.checkin_event ?? event.acknowledge_event)?.['ids'] as { id: string; parent_id?: string }
      const one = { method: request.method ?? '', path: request.url ?? '', headers: request.headers, body, event, device: ids.parent_id ?? ids.id }
      if (open.has(one.device)) overlaps.push(one.device)
      open.add(one.device)
      const status = await how(one)
      open.delete(one.device)
      received.push({ ...one, status })
      response.writeHead(status, status >= 300 && status < 400 ? { location: '/elsewhere' } : {}).end()
    }
    // A sender that is killed while it sends leaves half a request.
    take().catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    received,
    overlaps,
    answer: (next) => void (how = next),
    accepted: (device) => received.filter((one) => one.device === device && one.status < 300),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
