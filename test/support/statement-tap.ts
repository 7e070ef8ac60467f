import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** A TCP proxy in front of PostgreSQL that reads along what a program asks of it. */
export interface StatementTap {
  /** The database's URL through the tap. */
  url: string
  /**
   * What was executed since the last call, each transaction as one list: the names of prepared statements, the text of others. What opens and closes a
   * transaction is left out: it plans nothing and touches no row.
   */
  take(): string[][]
  close(): Promise<void>
}

/** Stands in front of the server of this URL, on a port or a socket. */
export async function tapStatements(url: string): Promise<StatementTap> {
  const seen: string[][] = []
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(addressOf(new URL(url)))
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      socket.on('error', () => [client, upstream].forEach((one) => one.destroy()))
    }
    const read = reader(grouped((transaction) => seen.push(transaction)))
    client.on('data', (chunk) => {
      read(chunk)
      upstream.write(chunk)
    })
    upstream.pipe(client)
    client.on('end', () => upstream.end())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const tapped = new URL(url)
  tapped.searchParams.delete('host')
  tapped.searchParams.delete('port')
  tapped.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: tapped.href,
    take: () => seen.splice(0),
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function addressOf(url: URL): { path: string } | { host: string; port: number } {
  const port = Number(url.searchParams.get('port') ?? (url.port || 5432))
  const host = url.searchParams.get('host') ?? decodeURIComponent(url.hostname)
  return host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port }
}

/** The statements of one connection, those between begin and its end together. */
function grouped(found: (transaction: string[]) => void): (statement: string) => void {
  let open: string[] | undefined
  return (statement) => {
    if (/^begin\b/.test(statement)) open = []
    else if (/^(commit|rollback)\b/.test(statement)) {
      found(open ?? [])
      open = undefined
    } else if (open) open.push(statement)
    else found([statement])
  }
}

/** Frontend messages (PostgreSQL: Message Formats): the first has no type byte; Query holds its text, Bind names its statement. */
function reader(found: (statement: string) => void): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0)
  let begun = false
  return (chunk) => {
    rest = Buffer.concat([rest, chunk])
    for (;;) {
      const header = begun ? 1 : 0
      if (rest.length < header + 4) return
      const end = header + rest.readUInt32BE(header)
      if (rest.length < end) return
      if (begun) tell(String.fromCharCode(rest[0] ?? 0), rest.subarray(5, end), found)
      begun = true
      rest = rest.subarray(end)
    }
  }
}

function tell(type: string, body: Buffer, found: (statement: string) => void): void {
  const texts = body.toString('latin1').split('\0')
  if (type === 'Q') found(texts[0] ?? '')
  if (type === 'B') found(texts[1] ?? '')
}
