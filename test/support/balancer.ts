import { createServer, connect, type AddressInfo, type Socket } from 'node:net'

/** A plain TCP balancer on loopback: each connection goes to the next process in turn that still takes one. */
export interface Balancer {
  url: string
  /** How many connections each target has now, in the order of the targets. */
  open: number[]
  /** Loses what this target answers from now on; resolves when so many answers are lost. `hear` ends it. */
  mute(at: number, answers: number): Promise<void>
  hear(at: number): void
  /** Ends every connection. */
  close(): Promise<void>
}

/** Stands in front of these ports of this machine, which are asked for at each connection: a process may come back elsewhere. */
export async function startBalancer(targets: (() => number)[]): Promise<Balancer> {
  const sockets = new Set<Socket>()
  const open = targets.map(() => 0)
  const mutes: ({ left: number; done: () => void } | undefined)[] = targets.map(() => undefined)
  let turn = 0
  const server = createServer((client) => {
    // The client may send before the upstream is there; what it sends must wait.
    client.pause()
    hold(client)
    client.on('error', () => client.destroy())
    forward(client, turn++ % targets.length, targets.length)
  })

  function hold(socket: Socket): void {
    sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('close', () => sockets.delete(socket))
  }

  /** Nothing was sent yet, so a refused connection may be tried at the next process; a broken one may not. */
  function forward(client: Socket, at: number, tries: number): void {
    const upstream = connect(targets[at]?.() ?? 0, '127.0.0.1')
    const refused = () => (tries > 1 ? forward(client, (at + 1) % targets.length, tries - 1) : client.destroy())
    upstream.once('error', refused)
    upstream.once('connect', () => {
      upstream.off('error', refused).on('error', () => client.destroy())
      open[at] = (open[at] ?? 0) + 1
      hold(upstream)
      upstream.on('close', () => (open[at] = (open[at] ?? 1) - 1))
      client.on('close', () => upstream.destroy())
      client.pipe(upstream)
      upstream.on('data', (chunk) => (isLost(at) ? client.destroy() : client.write(chunk)))
      upstream.on('end', () => client.end())
    })
  }

  function isLost(at: number): boolean {
    const mute = mutes[at]
    if (mute && --mute.left <= 0) mute.done()
    return mute !== undefined
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    open,
    mute: (at, left) => new Promise((done) => (mutes[at] = { left, done })),
    hear: (at) => void (mutes[at] = undefined),
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
