import { Agent, request } from 'node:http'

/** Clients at work. */
export interface Loaded {
  /** What was asked for by name, and the status of its whole answer; 0 when there was none, -1 when it was cut. */
  outcomes: Map<string, number>
  ended: Promise<unknown>
}

/** Clients that ask one thing after the other, each on a connection that it keeps, until they get none any more, or for so many turns. */
export function load(base: string, clients: number, ask: (name: string) => { method: string; path: string; headers: Record<string, string>; body: Buffer | string }, turns = Infinity): Loaded {
  const outcomes = new Map<string, number>()
  const one = (name: string, agent: Agent) => new Promise<number | 'refused'>((resolve) => {
    const { method, path, headers, body } = ask(name)
    const outgoing = request(`${base}${path}`, { method, headers, agent }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0)).on('error', () => resolve(-1))
    })
    outgoing.on('error', (error) => resolve('code' in error && error.code === 'ECONNREFUSED' ? 'refused' : 0)).end(body)
  })
  const run = async (client: number) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    for (let turn = 0; turn < turns; turn++) {
      const name = `client ${client}, turn ${turn}`
      const outcome = await one(name, agent)
      if (outcome === 'refused') break
      outcomes.set(name, outcome)
    }
    agent.destroy()
  }
  return { outcomes, ended: Promise.all(Array.from({ length: clients }, (_, client) => run(client))) }
}
