import { existsSync, readFileSync } from 'node:fs'
import { isIPv4, isIPv6 } from 'node:net'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'
import { closest } from './base/closest.ts'
import type { Config } from './base/config.ts'
import { describeListen, isLoopbackHost, parseListen } from './base/listen-address.ts'
import { addressComplaints, checkinComplaints } from './config-addresses.ts'
import { appleUrl, duration, webhookComplaints, webhookOf, webhookUrl } from './config-compat.ts'
import { deviceAuthComplaints, deviceCas, tlsFilesComplaints } from './config-devices.ts'

/** Every setting as it is written: name, description, default. The only reader of the environment is this file. */
export interface Setting {
  name: string
  /** `server.public_url`-like spelling in the file is the name without prefix in lower case. */
  fallback: string
  meaning: string
  /** May also be given as `<name>_FILE`. */
  secret?: true
}

export const SETTINGS: readonly Setting[] = [
  { name: 'BRAMLEY_PUBLIC_URL', fallback: '', meaning: 'The address phones use, for ever. Empty: https://localhost and the port of BRAMLEY_LISTEN.' },
  { name: 'BRAMLEY_CHECKIN_URL', fallback: '', meaning: 'The address of check-in messages for links with `separate_checkin`, for ever. Processes with BRAMLEY_DOORS=checkin answer there.' },
  { name: 'BRAMLEY_DOORS', fallback: 'all', meaning: '`all`; or `checkin`: this process answers check-in messages at BRAMLEY_CHECKIN_URL and nothing else.' },
  { name: 'BRAMLEY_LISTEN', fallback: ':8443', meaning: 'Where phones, browsers and scripts connect.' },
  { name: 'BRAMLEY_HTTP_LISTEN', fallback: '127.0.0.1:8080', meaning: 'Plain HTTP for this machine only; empty = off. Not opened with BRAMLEY_TLS=off.' },
  { name: 'BRAMLEY_ADMIN_LISTEN', fallback: '', meaning: 'A separate address for the API; empty = the API is served on BRAMLEY_LISTEN too.' },
  { name: 'BRAMLEY_METRICS_LISTEN', fallback: '127.0.0.1:9090', meaning: 'Prometheus metrics; empty = off.' },
  { name: 'BRAMLEY_TLS', fallback: 'self', meaning: '`self`: a certificate made here. `files`: yours. `off`: a proxy in front ends TLS; name it in BRAMLEY_TRUSTED_PROXIES.' },
  { name: 'BRAMLEY_TLS_CERT', fallback: '', meaning: 'With `files`: PEM file of the certificate, then its chain. Read again when it changes, and on SIGHUP.' },
  { name: 'BRAMLEY_TLS_KEY', fallback: '', meaning: 'With `files`: PEM file of its private key, without a passphrase.' },
  { name: 'BRAMLEY_TRUSTED_PROXIES', fallback: '', meaning: 'CIDRs, separated by commas, whose X-Forwarded-* headers are believed and whose plain HTTP is accepted.' },
  { name: 'BRAMLEY_DEVICE_AUTH', fallback: 'signature', meaning: 'How devices prove who they are. `signature`: the header Mdm-Signature. `mtls`: a TLS client certificate on our own listener. `proxy-header`: one that a trusted proxy passes on.' },
  { name: 'BRAMLEY_CLIENT_CERT_HEADER', fallback: 'Client-Cert', meaning: 'The header with the client certificate, believed only from BRAMLEY_TRUSTED_PROXIES: RFC 9440, URL-escaped PEM, or bare base64.' },
  { name: 'BRAMLEY_EXTRA_DEVICE_CAS', fallback: '', meaning: 'PEM file of CAs of another server whose device certificates may enroll here too.' },
  { name: 'BRAMLEY_DATABASE_URL', fallback: '', meaning: 'postgres://… ; empty = a PostgreSQL of our own under BRAMLEY_DATA/pg.', secret: true },
  { name: 'BRAMLEY_DATABASE_POOL', fallback: '16', meaning: 'Database connections of this process, 2 to 100.' },
  { name: 'BRAMLEY_WORKERS', fallback: '1', meaning: 'Worker processes that serve, behind the same addresses; each has database connections and a push rate of its own. `auto`: one for each core, at most 4. `1`: this process serves alone.' },
  { name: 'BRAMLEY_MIGRATE', fallback: 'auto', meaning: '`auto`: bring the schema up to date at the start. `manual`: refuse to start on an older schema; run `bramley migrate up`.' },
  { name: 'BRAMLEY_DATA', fallback: './data', meaning: 'Folder for keys, the embedded database and the simulator.' },
  { name: 'BRAMLEY_SECRET_KEY_FILE', fallback: '', meaning: 'File with the master key; empty = BRAMLEY_DATA/secret.key, made at the first start.' },
  { name: 'BRAMLEY_ORGANIZATION', fallback: 'Bramley', meaning: 'The name that people read in the enrollment profile.' },
  { name: 'BRAMLEY_LOG_LEVEL', fallback: 'info', meaning: '`debug`, `info`, `warn` or `error`.' },
  { name: 'BRAMLEY_LOG_FORMAT', fallback: 'auto', meaning: '`json`; `pretty`: the start-up summary for people besides warnings; `auto`: pretty on a terminal.' },
  { name: 'BRAMLEY_APNS_HOST', fallback: 'api.push.apple.com', meaning: "Apple's push service." },
  { name: 'BRAMLEY_APNS_PORT', fallback: '443', meaning: '443 or 2197.' },
  { name: 'BRAMLEY_APNS_CA', fallback: '', meaning: 'PEM file of a CA to trust for the push service besides the public ones (tests, stand-ins).' },
  { name: 'BRAMLEY_PUSH_RATE', fallback: '50', meaning: 'Pushes a second at most, for each process.' },
  { name: 'BRAMLEY_SIMULATOR', fallback: 'auto', meaning: '`auto`: on while there is no push certificate and neither a database URL nor a public URL is set. `1` forces it, `0` never.' },
  { name: 'BRAMLEY_SIMULATOR_LISTEN', fallback: '127.0.0.1:2197', meaning: "Where the simulator's stand-in for Apple's push service listens." },
  { name: 'BRAMLEY_BOOTSTRAP_TOKEN_FILE', fallback: '', meaning: 'File with 32 or more printable characters; read while there is neither a user nor an API key, and then an API key with every scope.' },
  { name: 'BRAMLEY_COMPAT', fallback: 'auto', meaning: "NanoMDM's API under /v1: `auto`: there while an API key with the scope `compat` exists. `off`: never." },
  { name: 'BRAMLEY_WEBHOOK_URL', fallback: '', meaning: "Where to tell of every message of a device, in the shape of NanoMDM's and MicroMDM's webhook; empty = nowhere.", secret: true },
  { name: 'BRAMLEY_WEBHOOK_HMAC_KEY', fallback: '', meaning: 'Signs what goes to the webhook: `X-Hmac-Signature`, HMAC-SHA256 in base64; empty = unsigned.', secret: true },
  { name: 'BRAMLEY_ESCROW_UNLOCK_URL', fallback: 'https://deviceservices-external.apple.com/deviceservicesworkers/escrowKeyUnlock', meaning: "Apple's service behind /v1/escrowkeyunlock." },
  { name: 'BRAMLEY_ESCROW_UNLOCK_CA', fallback: '', meaning: 'PEM file of a CA to trust for that service besides the public ones (tests, stand-ins).' },
  { name: 'BRAMLEY_MIGRATION_WINDOW', fallback: '30d', meaning: 'How long after its import by /migration a device may show for the first time which certificate of BRAMLEY_EXTRA_DEVICE_CAS is its own.' },
  { name: 'BRAMLEY_NETWORK_USERS', fallback: 'decline', meaning: '`decline`: network users of a Mac are not managed (410). `accept`: they are, and their password is not asked for.' },
  { name: 'BRAMLEY_CONFIG', fallback: '', meaning: 'Settings file (YAML); empty = ./bramley.yaml, then /etc/bramley/bramley.yaml, when they exist.' },
]

// Read by the command line as a client, not by the server.
const CLIENT_SETTINGS = ['BRAMLEY_URL', 'BRAMLEY_TOKEN', 'BRAMLEY_TOKEN_FILE']

/** The settings cannot be used; the message lists every complaint, one a line. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

const shape = z.object({
  BRAMLEY_PUBLIC_URL: address(),
  BRAMLEY_CHECKIN_URL: address(),
  BRAMLEY_DOORS: z.enum(['all', 'checkin']),
  BRAMLEY_LISTEN: listen(),
  BRAMLEY_HTTP_LISTEN: z.union([z.literal(''), listen()]),
  BRAMLEY_ADMIN_LISTEN: z.union([z.literal(''), listen()]),
  BRAMLEY_METRICS_LISTEN: z.union([z.literal(''), listen()]),
  BRAMLEY_TLS: z.enum(['self', 'files', 'off']),
  BRAMLEY_TLS_CERT: z.string(),
  BRAMLEY_TLS_KEY: z.string(),
  BRAMLEY_TRUSTED_PROXIES: z.string().transform(splitList).refine((all) => all.every(isCidr), 'must be CIDRs, separated by commas'),
  BRAMLEY_DEVICE_AUTH: z.enum(['signature', 'mtls', 'proxy-header']),
  BRAMLEY_CLIENT_CERT_HEADER: z.string().regex(/^[A-Za-z0-9-]{1,64}$/, 'must be the name of a header'),
  BRAMLEY_EXTRA_DEVICE_CAS: optionalFile().transform(deviceCas),
  // Never the URL itself: it holds a password.
  BRAMLEY_DATABASE_URL: z.string().regex(/^($|postgres(ql)?:\/\/)/, 'must begin with postgres://').refine((text) => text === '' || URL.canParse(text), 'is not a URL'),
  BRAMLEY_DATABASE_POOL: z.coerce.number().int().min(2).max(100),
  BRAMLEY_WORKERS: z.string().regex(/^(auto|[1-9]|[1-5]\d|6[0-4])$/, 'must be auto, or a number from 1 to 64').transform((text) => (text === 'auto' ? workersOfThisMachine() : Number(text))),
  BRAMLEY_MIGRATE: z.enum(['auto', 'manual']),
  BRAMLEY_DATA: z.string().min(1),
  BRAMLEY_SECRET_KEY_FILE: z.string(),
  BRAMLEY_ORGANIZATION: z.string().min(1).max(100),
  BRAMLEY_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']),
  BRAMLEY_LOG_FORMAT: z.enum(['json', 'pretty', 'auto']),
  BRAMLEY_APNS_HOST: z.string().min(1),
  BRAMLEY_APNS_PORT: z.coerce.number().int().min(1).max(65_535),
  BRAMLEY_APNS_CA: optionalFile(),
  BRAMLEY_PUSH_RATE: z.coerce.number().int().min(1).max(10_000),
  BRAMLEY_SIMULATOR: z.enum(['auto', '1', '0']),
  BRAMLEY_SIMULATOR_LISTEN: listen(),
  BRAMLEY_BOOTSTRAP_TOKEN_FILE: z.string(),
  BRAMLEY_COMPAT: z.enum(['auto', 'off']),
  BRAMLEY_WEBHOOK_URL: webhookUrl,
  BRAMLEY_WEBHOOK_HMAC_KEY: z.string(),
  BRAMLEY_ESCROW_UNLOCK_URL: appleUrl,
  BRAMLEY_ESCROW_UNLOCK_CA: optionalFile(),
  BRAMLEY_MIGRATION_WINDOW: duration,
  BRAMLEY_NETWORK_USERS: z.enum(['decline', 'accept']),
})

/** The environment as it is; for the root only. */
export function environment(): Record<string, string | undefined> {
  return process.env
}

/**
 * Reads flags, then environment, then file, then defaults. Throws ConfigError with all complaints together: unknown names
 * (with a suggestion), wrong values, and combinations that would leave phones without TLS.
 */
export function readConfig(env: Record<string, string | undefined>, flags: Record<string, string> = {}): Config {
  const complaints = [...unknownNames(Object.keys(env).filter((name) => name.startsWith('BRAMLEY_')))]
  const values = valuesOf(env, flags, complaints)
  const parsed = shape.safeParse(values)
  if (!parsed.success) complaints.push(...parsed.error.issues.map((issue) => `${String(issue.path[0])}: ${issue.message}`))
  complaints.push(...plainHttpComplaints(values), ...deviceAuthComplaints(values), ...tlsFilesComplaints(values), ...webhookComplaints(values), ...checkinComplaints(values))
  if (complaints.length > 0 || !parsed.success) throw new ConfigError(complaints.join('\n'))
  return Object.freeze(assemble(parsed.data))
}

/** Every setting as it is in force, as text: what a worker process reads instead of looking for itself. Holds secrets. */
export function settingsInForce(env: Record<string, string | undefined>, flags: Record<string, string> = {}): Record<string, string> {
  return { ...valuesOf(env, flags, []), BRAMLEY_CONFIG: '/dev/null' }
}

function valuesOf(env: Record<string, string | undefined>, flags: Record<string, string>, complaints: string[]): Record<string, string> {
  const file = readFile(flags['BRAMLEY_CONFIG'] ?? env['BRAMLEY_CONFIG'], complaints)
  const given = { ...withSecrets(file, complaints), ...withSecrets(env, complaints), ...flags }
  return Object.fromEntries(SETTINGS.filter((s) => s.name !== 'BRAMLEY_CONFIG').map((s) => [s.name, given[s.name] ?? s.fallback]))
}

// PostgreSQL's default of 100 connections has room for 4 times the default pool.
const MOST_BY_ITSELF = 4

function workersOfThisMachine(): number {
  return Math.min(availableParallelism(), MOST_BY_ITSELF)
}

function assemble(v: z.output<typeof shape>): Config {
  const dataFolder = resolve(v.BRAMLEY_DATA)
  const main = parseListen(v.BRAMLEY_LISTEN)
  return {
    publicUrl: new URL(v.BRAMLEY_PUBLIC_URL || `${v.BRAMLEY_TLS === 'off' ? 'http' : 'https'}://localhost:${main.port}`),
    publicUrlSet: v.BRAMLEY_PUBLIC_URL !== '',
    checkinUrl: v.BRAMLEY_CHECKIN_URL === '' ? undefined : new URL(v.BRAMLEY_CHECKIN_URL),
    doors: v.BRAMLEY_DOORS,
    listen: main,
    httpListen: v.BRAMLEY_HTTP_LISTEN === '' || v.BRAMLEY_TLS === 'off' ? undefined : parseListen(v.BRAMLEY_HTTP_LISTEN),
    adminListen: v.BRAMLEY_ADMIN_LISTEN === '' ? undefined : parseListen(v.BRAMLEY_ADMIN_LISTEN),
    metricsListen: v.BRAMLEY_METRICS_LISTEN === '' ? undefined : parseListen(v.BRAMLEY_METRICS_LISTEN),
    tls: v.BRAMLEY_TLS,
    tlsFiles: v.BRAMLEY_TLS === 'files' ? { cert: v.BRAMLEY_TLS_CERT, key: v.BRAMLEY_TLS_KEY } : undefined,
    trustedProxies: v.BRAMLEY_TRUSTED_PROXIES,
    deviceAuth: v.BRAMLEY_DEVICE_AUTH,
    clientCertHeader: v.BRAMLEY_CLIENT_CERT_HEADER,
    extraDeviceCas: v.BRAMLEY_EXTRA_DEVICE_CAS,
    databaseUrl: v.BRAMLEY_DATABASE_URL || undefined,
    databasePool: v.BRAMLEY_DATABASE_POOL,
    workers: v.BRAMLEY_WORKERS,
    migrate: v.BRAMLEY_MIGRATE,
    dataFolder,
    secretKeyFile: v.BRAMLEY_SECRET_KEY_FILE || join(dataFolder, 'secret.key'),
    organization: v.BRAMLEY_ORGANIZATION,
    logLevel: v.BRAMLEY_LOG_LEVEL,
    logFormat: v.BRAMLEY_LOG_FORMAT,
    apns: { host: v.BRAMLEY_APNS_HOST, port: v.BRAMLEY_APNS_PORT, ca: v.BRAMLEY_APNS_CA },
    pushRate: v.BRAMLEY_PUSH_RATE,
    simulator: v.BRAMLEY_SIMULATOR === 'auto' ? 'auto' : v.BRAMLEY_SIMULATOR === '1' ? 'on' : 'off',
    simulatorListen: parseListen(v.BRAMLEY_SIMULATOR_LISTEN),
    bootstrapTokenFile: v.BRAMLEY_BOOTSTRAP_TOKEN_FILE || undefined,
    compat: v.BRAMLEY_COMPAT,
    webhook: webhookOf(v.BRAMLEY_WEBHOOK_URL, v.BRAMLEY_WEBHOOK_HMAC_KEY),
    escrowUnlock: { url: new URL(v.BRAMLEY_ESCROW_UNLOCK_URL), ca: v.BRAMLEY_ESCROW_UNLOCK_CA },
    migrationWindowMs: v.BRAMLEY_MIGRATION_WINDOW,
    networkUsers: v.BRAMLEY_NETWORK_USERS,
  }
}

function plainHttpComplaints(values: Record<string, string>): string[] {
  const { BRAMLEY_HTTP_LISTEN: text = '', BRAMLEY_TLS: tls } = values
  const address = parseListen(text)
  if (tls === 'off' || address.port < 0 || isLoopbackHost(address.host)) return []
  return [`BRAMLEY_HTTP_LISTEN: ${describeListen(address)} is not on this machine's loopback; plain HTTP is for localhost only`]
}

function unknownNames(names: string[]): string[] {
  const known = [...SETTINGS.map((s) => s.name), ...SETTINGS.filter((s) => s.secret).map((s) => `${s.name}_FILE`), ...CLIENT_SETTINGS]
  return names.filter((name) => !known.includes(name)).map((name) => {
    const suggestion = closest(name, known)
    return `${name}: unknown setting${suggestion ? `; did you mean ${suggestion}?` : ''}`
  })
}

/** The settings of one source, secrets also from the files that it names. */
function withSecrets(source: Record<string, string | undefined>, complaints: string[]): Record<string, string> {
  const values: Record<string, string> = {}
  for (const setting of SETTINGS) {
    const file = setting.secret ? source[`${setting.name}_FILE`] : undefined
    const value = source[setting.name]
    if (file !== undefined && value !== undefined) complaints.push(`${setting.name}: given twice, also as ${setting.name}_FILE`)
    if (file !== undefined) values[setting.name] = readSecretFile(setting.name, file, complaints)
    else if (value !== undefined) values[setting.name] = value
  }
  return values
}

function readSecretFile(name: string, file: string, complaints: string[]): string {
  try {
    const secret = readFileSync(file, 'utf8').trim()
    // Else a secret that was never filled in would quietly mean the default.
    if (secret === '') complaints.push(`${name}_FILE: ${file} is empty`)
    return secret
  } catch {
    complaints.push(`${name}_FILE: cannot read ${file}`)
    return ''
  }
}

function readFile(named: string | undefined, complaints: string[]): Record<string, string> {
  const file = named || ['./bramley.yaml', '/etc/bramley/bramley.yaml'].find((candidate) => existsSync(candidate))
  if (!file) return {}
  try {
    const parsed = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).parse(parseYaml(readFileSync(file, 'utf8')) ?? {})
    const values = Object.fromEntries(Object.entries(parsed).map(([key, value]) => [`BRAMLEY_${key.toUpperCase()}`, String(value)]))
    complaints.push(...unknownNames(Object.keys(values)).map((text) => `${file}: ${text}`))
    return values
  } catch (error) {
    complaints.push(`BRAMLEY_CONFIG: cannot use ${file}: ${error instanceof z.ZodError ? z.prettifyError(error) : String(error)}`)
    return {}
  }
}

function optionalFile() {
  return z.string().transform((file, context) => {
    if (file === '') return undefined
    try {
      return readFileSync(file, 'utf8')
    } catch {
      context.addIssue({ code: 'custom', message: `cannot read ${file}` })
      return z.NEVER
    }
  })
}

function splitList(text: string): string[] {
  return text.split(',').map((part) => part.trim()).filter((part) => part !== '')
}

function isCidr(text: string): boolean {
  const [address = '', bits = '0', ...rest] = text.split('/')
  const most = isIPv4(address) ? 32 : isIPv6(address) && !address.includes('%') ? 128 : -1
  return rest.length === 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= most
}

function address() {
  return z.string().superRefine((text, context) => {
    for (const message of addressComplaints(text)) context.addIssue({ code: 'custom', message })
  })
}

function listen() {
  return z.string().refine((text) => parseListen(text).port >= 0, 'must look like 127.0.0.1:8443, [::1]:8443 or :8443')
}
