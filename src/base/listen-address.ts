/** Where a listener binds; host '' means every address. */
export interface ListenAddress {
  host: string
  port: number
}

/** Reads `127.0.0.1:8443`, `[::1]:8443`, `localhost:8443` or `:8443`. The port is -1 when the text cannot be read. */
export function parseListen(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9.-]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3] ?? -1)
  return { host: match?.[1] ?? match?.[2] ?? '', port: port > 65_535 ? -1 : port }
}

/** The text form of an address. */
export function describeListen(address: ListenAddress): string {
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`
}

/** `localhost`, 127.0.0.0/8 and ::1. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}
