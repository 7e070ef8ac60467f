import { pino, type Logger } from 'pino'

export type Log = Logger

/** The names that log lines use; one list, so that searching works. */
export interface LogFields {
  /** Which of several worker processes writes. */
  worker?: number
  requestId?: string
  door?: 'device' | 'admin' | 'page'
  route?: string
  status?: number
  ms?: number
  device?: string
  serialNumber?: string
  enrollment?: string
  command?: string
  requestType?: string
  said?: string
  reason?: string
  apiKey?: string
}

/** Names under which a secret could travel; their values never reach a log line, at whatever depth pino reaches. */
const SECRET_NAMES = [
  'authorization', 'cookie', 'mdm-signature', 'client-cert', 'password', 'passphrase', 'challenge', 'token', 'pushMagic', 'PushMagic',
  'unlockToken', 'UnlockToken', 'BootstrapToken', 'privateKey', 'pin', 'PIN', 'secret', 'Token', 'Password', 'push_token', 'push_magic',
]

/** What one write puts into a pipe in one piece, whoever else writes there (PIPE_BUF of Linux): several processes share stdout. */
export const WHOLE = 4096

/** One JSON object per line on stdout (stderr for `pretty` output of a terminal start is left to the caller). */
export function createLog(level: string, destination?: pino.DestinationStream): Log {
  return pino(
    {
      level,
      base: {},
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: traceOf },
      redact: { paths: SECRET_NAMES.flatMap((name) => [`["${name}"]`, `*["${name}"]`, `*.*["${name}"]`]), censor: '<redacted>' },
    },
    destination ?? pino.destination({ fd: 1, sync: false, maxWrite: WHOLE }),
  )
}

/** The stack without values: Drizzle's message quotes the parameters of its query, PostgreSQL's detail whole rows. */
function traceOf(error: unknown): { type: string; stack?: string; code?: string; query?: string } {
  if (!(error instanceof Error)) return { type: typeof error }
  if ('query' in error && typeof error.query === 'string') return { ...traceOf(error.cause), query: error.query }
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {}
  return { type: error.name, stack: error.stack ?? error.message, ...code }
}
