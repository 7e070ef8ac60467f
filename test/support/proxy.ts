import { createServer, connect, type AddressInfo, type Socket } from 'node:net'

/** A TCP proxy on loopback that can swallow an answer, whole or after some bytes. */
export interface CuttingProxy {
  url: string
  /** Lets `after` bytes of the next answer through and no more; resolves when the server has begun to answer. */
  cutNext(after: number): Promise<void>
  /** Ends every connection. */
  close(): Promise<void>
}

/** Stands in front of a plain HTTP port of this machine. */
export async function startProxy(target: () => number): Promise<CuttingProxy> {
  const sockets = new Set<Socket>()
  let cut: { after: number; seen: () => void } | undefined
  const server = createServer((client) => {
    const upstream = connect(target(), '127.0.0.1')
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
    }
    client.on('error', () => upstream.destroy())
    upstream.on('error', () => client.destroy())
    client.on('end', () => upstream.end())
    upstream.on('close', () => client.destroy())
    client.on('data', (chunk) => upstream.write(chunk))
    upstream.on('data', (chunk) => {
      if (!cut) return void client.write(chunk)
      const { after, seen } = cut
      cut = undefined
      if (after > 0) client.write(chunk.subarray(0, after))
      // What comes later on this connection is swallowed too: its answer is lost for good.
      upstream.removeAllListeners('data')
      upstream.on('data', () => undefined)
      seen()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cutNext: (after) => new Promise((seen) => (cut = { after, seen })),
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
