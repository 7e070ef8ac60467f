import type { Http2Session } from 'node:http2'

/**
 * Sends a PING each time a session was idle for `idleMs`, and calls `onSilence` when no answer comes within
 * `patienceMs`: a connection that a router forgot looks healthy until somebody uses it. Returns the function that
 * says "not idle". Its timers never keep the process alive.
 */
export function pingWhenIdle(session: Http2Session, idleMs: number, patienceMs: number, onSilence: () => void) {
  const ping = () => {
    if (session.closed || session.destroyed) return
    const patience = setTimeout(onSilence, patienceMs).unref()
    session.ping((error) => {
      clearTimeout(patience)
      if (!error) idle.refresh()
    })
  }
  const idle = setTimeout(ping, idleMs).unref()
  session.once('close', () => clearTimeout(idle))
  return () => {
    idle.refresh()
  }
}
