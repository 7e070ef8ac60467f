import { createServer } from 'node:net'
import type { Config } from './base/config.ts'
import type { ListenAddress } from './base/listen-address.ts'

/** Port 0 means "any free port"; it is drawn here, because the public URL must name it before anything listens. */
export async function withRealPorts(config: Config): Promise<Config> {
  const listen = await drawn(config.listen)
  const publicUrl = new URL(config.publicUrl)
  if (!config.publicUrlSet) publicUrl.port = String(listen.port)
  return Object.freeze({
    ...config,
    publicUrl,
    listen,
    httpListen: config.httpListen && (await drawn(config.httpListen)),
    adminListen: config.adminListen && (await drawn(config.adminListen)),
    metricsListen: config.metricsListen && (await drawn(config.metricsListen)),
    simulatorListen: await drawn(config.simulatorListen),
  })
}

async function drawn(address: ListenAddress): Promise<ListenAddress> {
  return address.port === 0 ? { ...address, port: await freePort(address.host) } : address
}

function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, host === '' ? undefined : host, () => {
      const bound = server.address()
      server.close(() => (typeof bound === 'object' && bound ? resolve(bound.port) : reject(new Error('no free port'))))
    })
  })
}
